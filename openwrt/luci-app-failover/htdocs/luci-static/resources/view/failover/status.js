/*
 * Status -> Failover: is the internet fine, through which provider, and why; how every line is and was; and the buttons to move traffic.
 * Fed by ubus `status`, `why` and `series`, all in one request. The page is built once; a poll writes into it what has changed.
 */
'use strict';
'require view';
'require poll';
'require ui';
'require tools.failover as failover';
'require tools.failover_series as series';

const { setText, setAttribute, show } = failover;

/* An answer that takes longer is treated as none, until it comes. */
const PATIENCE = 5000;

const text = (tag, name) => E(tag, { 'class': name }, ['']);
const known = value => value == null ? null : String(value);
const link = (label, ...path) => E('a', { 'href': L.url('admin', 'network', ...path) }, [ label ]);

/* What unfolding a provider tells beyond its row. */
const FACTS = [
	[ _('Address'), p => p.address ],
	[ _('DNS servers'), p => p.dns_servers?.join(', ') ],
	[ _('Protocol'), p => p.proto ],
	[ _('Priority'), p => known(p.priority) ],
	[ _('Weight'), p => known(p.weight) ],
	[ _('Routing table'), p => known(p.table) ],
	[ _('Reliable'), p => p.reliable ? _('yes') : _('no') ],
	[ _('Jitter'), p => p.jitter_ms == null ? null : failover.latency(p.jitter_ms) ],
	[ _('Failed of the last checks'), p => _('%d of %d').format(p.history_failed, p.history_length) ],
	[ _('Successful checks in a row'), p => known(p.success_streak || null) ],
	[ _('Failed checks in a row'), p => known(p.failure_streak || null) ],
	[ _('Became unreliable within the last hour'), p => N_(p.flaps, '%d time', '%d times').format(p.flaps) ],
	[ _('May take over again in'), p => p.failback_in == null ? null : failover.duration(p.failback_in) ]
];

/* Writes rows of texts into a table, into the cells that are there. */
function fill(body, titles, rows) {
	while (body.rows.length > rows.length)
		body.lastElementChild.remove();
	rows.forEach((cells, i) => {
		const row = body.rows[i] ?? body.appendChild(E('tr', { 'class': 'tr' }, titles.map(title => E('td', { 'class': 'td', 'data-title': title }, ['']))));
		cells.forEach((cell, j) => setText(row.cells[j], cell));
	});
}

function table(titles) {
	const body = E('tbody');
	const node = E('table', { 'class': 'table' }, [
		E('thead', {}, [ E('tr', { 'class': 'tr table-titles' }, titles.map(title => E('th', { 'class': 'th', 'scope': 'col' }, [ title ]))) ]),
		body
	]);

	return { node, fill: rows => fill(body, titles, rows) };
}

/* A list of which each entry keeps its place. */
function list(node, tag, texts) {
	while (node.children.length > texts.length)
		node.lastElementChild.remove();
	texts.forEach((said, i) => setText(node.children[i] ?? node.appendChild(E(tag, {}, [''])), said));
}

return view.extend({
	load() {
		/* The second answer depends on the first: from when on the lines are asked for. */
		return this.ask().then(() => this.status && this.ask());
	},

	render() {
		this.may = L.hasViewPermission();
		this.rows = {};
		this.build();
		this.update();

		poll.add(() => this.refresh(), 2);
		document.addEventListener('visibilitychange', () => poll.active() && this.refresh());

		return this.page;
	},

	/* At most one question at a time, and none from a tab that nobody sees. */
	refresh() {
		if (document.hidden)
			return;

		return this.asking ??= this.ask().then(() => this.update()).finally(() => { this.asking = null; });
	},

	ask() {
		const impatient = window.setTimeout(() => this.lose({}), PATIENCE);
		const calls = [ failover.status(), failover.why(true) ];

		if (this.status) {
			const uptime = this.status.uptime + Math.floor((performance.now() - this.asked) / 1000);
			const day = series.sinceDay(uptime);

			calls.push(failover.series(series.since(uptime), 0));
			if (day != null)
				calls.push(failover.series(day, 600));
		}

		return Promise.all(calls).then(([ status, why, ...lines ]) => {
			Object.assign(this, { status, why, asked: performance.now(), error: null });
			lines.forEach(reply => series.take(reply));
		}, error => this.lose(error)).finally(() => window.clearTimeout(impatient));
	},

	/* What was last known stays on the page, greyed. */
	lose(error) {
		this.error = error;
		if (this.page)
			this.updateExcuse();
	},

	build() {
		this.sentence = text('p', 'failover-sentence');
		this.numbers = text('p', 'failover-numbers');
		this.announcement = E('p', { 'class': 'failover-unseen', 'role': 'status' }, ['']);
		this.excuse = E('div', { 'class': 'alert-message warning', 'role': 'alert', 'hidden': '' }, [ E('p', {}, ['']) ]);
		this.automatic = this.button(_('Automatic'), () => this.unpin());
		this.checkAll = this.button(_('Check now'), () => failover.check());
		this.pinned = E('p', { 'class': 'failover-numbers' }, [ _('The pin comes from the settings.'), ' ', link(_('Settings'), 'failover') ]);
		this.hero = E('div', { 'class': 'failover-hero' }, [
			E('div', {}, [ this.sentence, this.numbers, this.pinned ]),
			E('div', { 'class': 'failover-buttons' }, [ this.automatic, this.checkAll ])
		]);

		this.alerts = [
			[ _('The configuration has problems; the one before it is in force'), 'config_errors', 'error' ],
			[ _('Please look at this'), 'warnings', 'warning' ],
			[ _('Routes of other programs go before those of failoverd'), 'overridden_by', 'notice' ]
		].map(([ title, field, style ]) => {
			const entries = E('ul');
			return { field, entries, node: E('div', { 'class': 'alert-message ' + style, 'hidden': '' }, [ E('p', {}, [ E('strong', {}, [ title ]) ]), entries ]) };
		});

		this.welcome = E('div', { 'class': 'failover-welcome', 'hidden': '' }, [
			E('h3', {}, [ _('Welcome') ]),
			E('p', {}, [ _('failoverd watches your ways to the internet and moves the traffic to one that works. Tell it which ones there are: two are enough.') ]),
			E('p', {}, [ E('a', { 'class': 'btn cbi-button cbi-button-action important', 'href': L.url('admin/network/failover') }, [ _('Set up providers') ]) ])
		]);

		const titles = [ _('Provider'), _('State'), _('Connection'), _('Latency'), _('Loss'), _('Checks'), _('Since') ];
		this.body = E('tbody');
		this.day = series.newDay();
		this.names = E('div', { 'class': 'failover-names', 'aria-hidden': 'true' });
		this.words = E('dl');
		this.history = table([ _('Time'), _('From'), _('To'), _('Reason') ]);
		this.allSwitches = E('button', { 'class': 'btn cbi-button', 'type': 'button', 'click': () => {
			this.unfolded = true;
			this.updateSwitches();
		} }, [ _('Show all') ]);
		this.noSwitch = E('p', {}, [ E('em', {}, [ _('None since failoverd was started.') ]) ]);

		this.known = E('div', {}, [
			this.hero,
			...this.alerts.map(alert => alert.node),
			this.welcome,
			this.details = E('div', {}, [
				E('div', { 'class': 'cbi-section' }, [
					E('h3', {}, [ _('Providers') ]),
					E('table', { 'class': 'table failover-providers' }, [
						E('thead', {}, [ E('tr', { 'class': 'tr table-titles' }, [
							...titles.map(title => E('th', { 'class': 'th', 'scope': 'col' }, [ title ])),
							this.may ? E('th', { 'class': 'th failover-actions', 'scope': 'col' }, [ _('Actions') ]) : ''
						]) ]),
						this.body
					])
				]),
				E('div', { 'class': 'cbi-section' }, [
					E('h3', {}, [ _('Last day') ]),
					E('div', { 'class': 'failover-timeline' }, [ this.names, this.day ]),
					E('p', { 'class': 'failover-legend' }, [
						...[ 'online', 'degraded', 'offline', 'no_carrier', 'checking' ].map(state => failover.badge(state)),
						E('span', { 'class': 'failover-badge', 'data-state': 'traffic' }, [ _('Carried the traffic') ])
					]),
					E('details', {}, [ E('summary', {}, [ _('In words') ]), this.words ])
				]),
				E('div', { 'class': 'cbi-section' }, [ E('h3', {}, [ _('Switches') ]), this.noSwitch, this.history.node, this.allSwitches ])
			])
		]);
		this.page = E('div', { 'class': 'failover' }, [ E('h2', {}, [ _('Failover') ]), this.announcement, this.excuse, this.known ]);
	},

	/* For those who may; busy until its promise is kept. */
	button(label, action) {
		return E('button', { 'class': 'btn cbi-button', 'type': 'button', 'hidden': this.may ? null : '', 'click': ev => {
			const button = ev.currentTarget;

			button.disabled = true;
			button.classList.add('spinning');
			Promise.resolve(action()).catch(error => {
				ui.addNotification(null, E('p', {}, [ _('That did not work: %s').format(failover.excuse(error)) ]), 'error');
			}).then(() => this.refresh()).finally(() => {
				button.disabled = false;
				button.classList.remove('spinning');
				/* Disabled, it has lost the focus; unless that has gone elsewhere, it gets it back. */
				if (document.activeElement === document.body)
					button.focus();
			});
		} }, [ label ]);
	},

	/* Resolved with the action's promise, or with nothing if somebody thinks better of it. */
	confirm(title, sentences, label, action) {
		return new Promise((resolve, reject) => {
			const button = (text, style, answer) => E('button', { 'class': 'btn cbi-button ' + style, 'type': 'button', 'click': ev => {
				ev.currentTarget.blur();
				ui.hideModal();
				answer();
			} }, [ text ]);
			const yes = button(label, 'cbi-button-action important', () => action().then(resolve, reject));

			ui.showModal([ title ], [
				...sentences.filter(said => said).map(said => E('p', {}, [ said ])),
				E('div', { 'class': 'right' }, [ button(_('Cancel'), '', resolve), ' ', yes ])
			])?.setAttribute('aria-label', title);
			yes.focus();
		});
	},

	pin(name) {
		const { active, providers } = this.status;
		const wanted = providers.find(provider => provider.name == name);

		if (name == active)
			return failover.pin(name);

		return this.confirm(_('Use %s?').format(name), [
			active && _('Traffic moves from %s to %s now; open connections may break.').format(active, name),
			_('It stays there whatever the checks say, until you choose “Automatic”.'),
			wanted && !wanted.reliable && _('%s is not reliable at present: you may lose the internet.').format(name)
		], _('Use this one'), () => failover.pin(name));
	},

	unpin() {
		const { active, providers } = this.status;
		const current = providers.find(provider => provider.name == active);
		const better = providers.some(p => p.reliable && p.name != active && (!current?.reliable || p.priority < current.priority));

		if (!better)
			return failover.unpin();

		return this.confirm(_('Choose automatically?'), [
			_('Traffic may move away from %s; open connections may break.').format(active)
		], _('Automatic'), () => failover.unpin());
	},

	update() {
		this.updateExcuse();
		if (this.error || !this.status)
			return;

		const { status, why } = this;
		const providers = status.providers.slice().sort((a, b) => a.priority - b.priority || (a.name < b.name ? -1 : 1));
		const sentence = failover.say(why.sentence);
		const situation = [ why.reason_code, why.active ].join();

		setAttribute(this.hero, 'data-mood', failover.mood(status, why));
		setText(this.sentence, sentence);
		setText(this.numbers, providers.length ? [
			_('Reliable: %d of %d').format(providers.filter(p => p.reliable).length, providers.length),
			_('Switches in the last hour: %d').format(why.switches),
			_('failoverd %s').format(status.version)
		].join(' · ') : '');
		if (this.situation != situation)
			setText(this.announcement, sentence);
		this.situation = situation;

		show(this.automatic, this.may && status.pin_source == 'runtime');
		show(this.checkAll, this.may && status.enabled && providers.length > 0);
		show(this.pinned, status.pin_source == 'config');
		for (const { field, entries, node } of this.alerts) {
			list(entries, 'li', status[field] ?? []);
			show(node, status[field]?.length > 0);
		}
		show(this.welcome, !providers.length);
		show(this.details, providers.length > 0);

		this.updateRows(providers);
		if (series.changed && series.boot != null) {
			this.updateDay(providers.map(provider => provider.name));
			this.updateSwitches();
		}
	},

	updateExcuse() {
		if (this.error)
			setText(this.excuse.firstChild, [
				failover.excuse(this.error),
				this.status && _('Below is what was known %s ago.').format(failover.duration(Math.floor((performance.now() - this.asked) / 1000))),
				_('The page keeps trying.')
			].filter(said => said).join(' '));
		show(this.excuse, !!this.error);
		show(this.known, !!this.status);
		setAttribute(this.known, 'class', this.error ? 'failover-stale' : '');
	},

	updateRows(providers) {
		for (const name in this.rows)
			if (!providers.some(provider => provider.name == name)) {
				this.rows[name].node.remove();
				this.rows[name].more.remove();
				delete this.rows[name];
			}

		/* Rows stay where they are, in the order of priority; only a new order moves any. */
		let place = this.body.firstChild;
		for (const provider of providers) {
			const row = this.rows[provider.name] ??= this.newRow(provider.name);
			if (place !== row.node) {
				this.body.insertBefore(row.node, place);
				this.body.insertBefore(row.more, place);
			}
			place = row.more.nextSibling;
			this.updateRow(row, provider, this.why.providers.find(other => other.name == provider.name));
		}
	},

	newRow(name) {
		const row = { open: false };
		const id = 'failover-more-%d'.format(this.made = (this.made ?? 0) + 1);
		const cell = (title, ...children) => E('td', { 'class': 'td', 'data-title': title }, children);

		row.toggle = E('button', { 'class': 'failover-toggle', 'type': 'button', 'aria-expanded': 'false', 'aria-controls': id, 'click': () => {
			row.open = !row.open;
			setAttribute(row.toggle, 'aria-expanded', String(row.open));
			this.update();
		} }, [ name ]);
		row.description = text('div', 'failover-minor');
		row.badge = failover.badge('');
		row.roles = [ _('Active'), _('Standby'), _('Pinned'), _('Metered') ].map(role => E('span', { 'class': 'failover-role', 'hidden': '' }, [ role ]));
		row.roles[0].classList.add('active');
		row.interface = link('', 'network');
		row.device = text('span', 'failover-device');
		row.gateway = text('div', 'failover-minor');
		row.metric = text('div', 'failover-minor');
		row.latency = text('span', 'failover-number');
		row.spark = series.newSpark();
		row.loss = text('span', 'failover-number');
		row.checks = text('span', 'failover-number');
		row.failed = text('div', 'failover-minor');
		row.since = text('span', 'failover-number');
		row.use = this.button(_('Use this one'), () => this.pin(name));
		row.use.setAttribute('aria-label', _('Use this one: %s').format(name));
		row.check = this.button(_('Check now'), () => failover.check(name));
		row.check.setAttribute('aria-label', _('Check now: %s').format(name));

		row.node = E('tr', { 'class': 'tr failover-provider' }, [
			E('th', { 'class': 'td', 'scope': 'row' }, [ row.toggle, row.description ]),
			cell(_('State'), row.badge, E('div', {}, row.roles)),
			cell(_('Connection'), row.interface, row.device, row.gateway, row.metric),
			cell(_('Latency'), row.latency, row.spark),
			cell(_('Loss'), row.loss),
			cell(_('Checks'), row.checks, row.failed),
			cell(_('Since'), row.since)
		]);
		if (this.may)
			row.node.appendChild(E('td', { 'class': 'td failover-actions' }, [ row.use ]));

		row.sentences = E('ul', { 'class': 'failover-why' });
		row.facts = FACTS.map(([ label, tell ]) => {
			const value = E('dd', {}, ['']);
			return { tell, value, node: E('div', {}, [ E('dt', {}, [ label ]), value ]) };
		});
		row.tests = table([ _('Test'), _('Type'), _('Target'), _('Sent'), _('Lost'), _('Latency'), _('Last answer') ]);
		row.tests.node.setAttribute('aria-label', _('Tests of %s').format(name));
		row.rest = E('div', { 'hidden': '' }, [
			E('dl', { 'class': 'failover-facts' }, row.facts.map(fact => fact.node)),
			row.tests.node,
			E('p', { 'class': 'failover-buttons' }, [ row.check, link(_('Settings of the providers'), 'failover') ])
		]);
		row.more = E('tr', { 'class': 'tr failover-more', 'id': id }, [
			E('td', { 'class': 'td', 'colspan': this.may ? 8 : 7 }, [ row.sentences, row.rest ])
		]);

		return row;
	},

	updateRow(row, provider, why) {
		const { status } = this;
		const troubled = ![ 'online', 'disabled' ].includes(provider.state);
		const roles = [ provider.active, why?.role == 'standby', status.pin == provider.name, provider.metered ];

		setAttribute(row.node, 'data-active', String(provider.active));
		setText(row.description, provider.description ?? '');
		failover.setBadge(row.badge, provider.state);
		row.roles.forEach((role, i) => show(role, !!roles[i]));
		setText(row.interface, provider.interface ?? '');
		show(row.interface, !!provider.interface);
		setText(row.device, provider.device ?? '');
		setText(row.gateway, provider.gateway ? _('via %s').format(provider.gateway) : '');
		setText(row.metric, provider.metric == null ? '' : _('metric %d').format(provider.metric));
		setText(row.latency, failover.latency(provider.latency_ms));
		series.drawSpark(row.spark, provider.name, status.uptime);
		setText(row.loss, failover.percent(provider.loss_percent));
		setText(row.checks, provider.checks.toLocaleString());
		setText(row.failed, provider.failed ? _('failed: %s').format(provider.failed.toLocaleString()) : '');
		setText(row.since, failover.duration(provider.since));
		show(row.use, this.may && status.enabled && status.pin != provider.name && provider.state != 'disabled');

		/* Trouble speaks for itself, unfolded or not. */
		show(row.more, row.open || troubled);
		show(row.rest, row.open);
		if (row.open || troubled)
			list(row.sentences, 'li', (why?.sentences ?? []).map(sentence => failover.say(sentence)));
		if (!row.open)
			return;

		for (const { tell, value, node } of row.facts) {
			const fact = tell(provider);
			show(node, !!fact);
			setText(value, fact ?? '');
		}
		row.tests.fill((provider.tests ?? []).flatMap(test => test.targets.map(target => [
			test.name, test.type, target.target, String(target.sent), String(target.lost), failover.latency(target.latency_ms),
			target.answered == null ? _('never') : _('%s ago').format(failover.duration(target.answered))
		])));
	},

	updateDay(names) {
		const uptime = series.next || this.status.uptime;

		list(this.names, 'div', names);
		series.drawDay(this.day, names, this.status.active, uptime);
		this.words.replaceChildren(...names.flatMap(name => {
			const bands = series.bands(name, uptime).filter(band => band[2] != 'online');
			return [ E('dt', {}, [ name ]), ...(bands.length ? bands.map(band => E('dd', {}, [ series.tellBand(band) ])) : [ E('dd', {}, [ _('No trouble seen.') ]) ]) ];
		}));
	},

	updateSwitches() {
		const switches = series.switches.slice().sort((a, b) => b.at - a.at);
		const shown = this.unfolded ? switches : switches.slice(0, 10);

		this.history.fill(shown.map(({ at, from, to, parts }) => [ series.date(at), from ?? '–', to ?? '–', failover.say(parts) ]));
		show(this.noSwitch, !switches.length);
		show(this.history.node, switches.length > 0);
		show(this.allSwitches, shown.length < switches.length);
	},

	handleSaveApply: null,
	handleSave: null,
	handleReset: null
});
