/*
 * Status -> Failover: is the internet fine, through which provider, and why; how every line is and was; and the buttons to move traffic.
 * Fed by ubus `status`, `why` and `series`, all in one request, and by `connections` in one of its own. The page is built once; a poll writes into it what has changed.
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
/* Between one counting of the connections and the next. */
const PAUSE = 5000;

/* el('p.failover-numbers', child, ...): a node with its class. */
const el = (what, ...children) => E(what.split('.')[0], { 'class': what.split('.').slice(1).join(' ') }, children);
const known = value => value == null ? null : String(value);
const link = (label, page) => E('a', { 'href': L.url('admin/network', page) }, [ label ]);

/* The least, the median and the most of a figure. */
const spread = (quality, figure) => quality && [ 'min', 'median', 'max' ].map(which => failover.latency(quality[`${figure}_${which}_ms`])).join(' / ');

/* What unfolding a provider tells beyond its row. */
const FACTS = [
	[ _('Address'), p => p.address ],
	[ _('DNS servers'), p => p.dns_servers?.join(', ') ],
	[ _('Protocol'), p => p.proto ],
	[ _('Priority'), p => known(p.priority) ],
	[ _('Weight'), p => known(p.weight) ],
	[ _('Mark'), p => p.mark ],
	[ _('Connections after failback'), p => p.drain ],
	[ _('Forgets its connections in'), p => p.drain_in == null ? null : failover.duration(p.drain_in) ],
	[ _('Routing table'), p => known(p.table) ],
	[ _('Reliable'), p => p.reliable ? _('yes') : _('no') ],
	[ _('Jitter'), p => p.jitter_ms == null ? null : failover.latency(p.jitter_ms) ],
	[ _('Latency: least / median / most'), p => spread(p.quality, 'latency') ],
	[ _('Jitter: least / median / most'), p => spread(p.quality, 'jitter') ],
	[ _('Measured by'), p => p.quality && N_(p.quality.probes, '%d probe', '%d probes').format(p.quality.probes) ],
	[ _('Own probes in 24 hours'), p => p.probe_bytes ? '%.1mB'.format(p.probe_bytes) : null ],
	[ _('Failed of the last checks'), p => _('%d of %d').format(p.history_failed, p.history_length) ],
	[ _('Successful checks in a row'), p => known(p.success_streak || null) ],
	[ _('Failed checks in a row'), p => known(p.failure_streak || null) ],
	[ _('Became unreliable within the last hour'), p => N_(p.flaps, '%d time', '%d times').format(p.flaps) ],
	[ _('May take over again in'), p => p.failback_in == null ? null : failover.duration(p.failback_in) ],
	/* Of one in trouble the sentences say it, as they do what is done about that. */
	[ _('Known besides'), p => p.reliable && p.evidence?.join('; ') ]
];

/* A table, and a function that writes rows of texts into the cells that are there. */
function table(titles, style) {
	const body = el('tbody');
	const node = el('table.table' + (style ?? ''), el('thead', el('tr.tr.table-titles', ...titles.map(title => el('th.th', title)))), body);
	const fill = rows => {
		while (body.rows.length > rows.length)
			body.lastElementChild.remove();
		rows.forEach((cells, i) => {
			const row = body.rows[i] ?? body.appendChild(el('tr.tr', ...titles.map(title => E('td', { 'class': 'td', 'data-title': title }, ['']))));
			cells.forEach((cell, j) => setText(row.cells[j], cell));
		});
	};

	return { node, body, fill };
}

/* A list of which each entry keeps its place. */
function list(node, tag, texts) {
	while (node.children.length > texts.length)
		node.lastElementChild.remove();
	texts.forEach((said, i) => setText(node.children[i] ?? node.appendChild(el(tag)), said));
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
			const day = series.wantsDay(uptime);

			calls.push(failover.series(series.since(uptime), 0));
			if (day)
				calls.push(failover.series(...day));
		}

		this.count();

		return Promise.all(calls).then(([ status, why, ...lines ]) => {
			const states = status.providers.map(provider => provider.name + provider.state).join();
			/* What the rows tell now, the day is to show as well. */
			series.moved ||= this.states != states;
			Object.assign(this, { status, why, states, asked: performance.now(), error: null });
			series.take(lines);
		}, error => this.lose(error)).finally(() => window.clearTimeout(impatient));
	},

	/* Never two countings at once. */
	count() {
		if (this.status && !this.counting && !(performance.now() - this.counted < PAUSE))
			this.counting = failover.connections().then(answer => answer.providers).catch(() => []).then(found => {
				this.connections = Object.fromEntries(found.map(({ name, connections }) => [ name, connections ]));
				this.counted = performance.now();
				this.counting = null;
			});
	},

	/* What was last known stays on the page, greyed. */
	lose(error) {
		this.error = error;
		if (this.page)
			this.updateExcuse();
	},

	build() {
		this.sentence = el('p.failover-sentence');
		this.numbers = el('p.failover-numbers');
		this.pinned = el('p.failover-numbers', _('The pin comes from the settings.'), ' ', link(_('Settings'), 'failover'));
		this.automatic = this.button(_('Automatic'), () => this.unpin());
		this.checkAll = this.button(_('Check now'), () => failover.check());
		this.hero = el('div.failover-hero', el('div', this.sentence, this.numbers, this.pinned), el('div.failover-buttons', this.automatic, this.checkAll));
		this.announcement = E('p', { 'class': 'failover-unseen', 'role': 'status' });
		this.excuse = E('div', { 'class': 'alert-message warning', 'role': 'alert' }, [ el('p') ]);

		this.alerts = [
			[ 'config_errors', 'error', _('The configuration has problems; the one before it is in force') ],
			[ 'warnings', 'warning', _('Please look at this') ],
			[ 'overridden_by', 'notice', _('Routes of other programs go before those of failoverd') ]
		].map(([ field, style, title ]) => {
			const entries = el('ul');
			const where = style == 'notice' ? [] : [ el('p', link(_('Settings'), 'failover')) ];
			return { field, entries, node: el('div.alert-message.' + style, el('p', el('strong', title)), entries, ...where) };
		});

		this.welcome = el('div.failover-welcome',
			el('h3', _('Welcome')),
			el('p', _('failoverd watches your ways to the internet and moves the traffic to one that works. Tell it which ones there are: two are enough.')),
			el('p', E('a', { 'class': 'btn cbi-button cbi-button-action important', 'href': L.url('admin/network/failover') }, [ _('Set up providers') ])));

		const providers = table([ _('Provider'), _('State'), _('Connection'), _('Latency'), _('Loss'), _('Checks'), _('Since'), ...(this.may ? [ _('Actions') ] : []) ], '.failover-providers');
		this.body = providers.body;
		this.ruleTable = table([ _('Rule'), _('Uses now') ], '.failover-rules');
		this.rules = el('div.cbi-section', el('h3', _('Rules')), this.ruleTable.node);
		this.dayTitle = el('h3');
		this.day = series.newDay();
		this.names = E('div', { 'class': 'failover-names', 'aria-hidden': 'true' });
		this.words = el('dl');
		this.history = table([ _('Time'), _('From'), _('To'), _('Reason') ]);
		this.noSwitch = el('p', el('em', _('None since failoverd was started.')));
		this.allSwitches = E('button', { 'class': 'btn cbi-button', 'type': 'button', 'click': () => {
			this.unfolded = true;
			this.updateSwitches();
		} }, [ _('Show all') ]);

		this.details = el('div',
			el('div.cbi-section', el('h3', _('Providers')), providers.node),
			this.rules,
			el('div.cbi-section',
				this.dayTitle,
				el('div.failover-timeline', this.names, this.day),
				el('p.failover-legend',
					...[ 'online', 'degraded', 'offline', 'no_carrier', 'unresolved', 'checking' ].map(state => failover.badge(state)),
					E('span', { 'class': 'failover-badge', 'data-state': 'traffic' }, [ _('Carried the traffic') ])),
				el('details', el('summary', _('In words')), this.words)),
			el('div.cbi-section', el('h3', _('Switches')), this.noSwitch, this.history.node, this.allSwitches));
		this.known = el('div', this.hero, ...this.alerts.map(alert => alert.node), this.welcome, this.details);
		this.page = el('div.failover', el('h2', _('Failover')), this.announcement, this.excuse, this.known);
	},

	/* For those who may; busy until its promise is kept. */
	button(label, action) {
		return E('button', { 'class': 'btn cbi-button', 'type': 'button', 'hidden': this.may ? null : '', 'click': ev => {
			const button = ev.currentTarget;

			button.disabled = true;
			button.classList.add('spinning');
			Promise.resolve(action()).catch(error => {
				ui.addNotification(null, el('p', _('That did not work: %s').format(failover.excuse(error))), 'error');
			}).then(() => this.refresh()).finally(() => {
				button.disabled = false;
				button.classList.remove('spinning');
				/* Disabled, it has lost the focus; unless that has gone elsewhere, it gets it back, or what is there in its place. */
				if (document.activeElement === document.body)
					[ button, this.automatic, this.checkAll ].find(node => !node.hidden)?.focus();
			});
		} }, [ label ]);
	},

	/* Resolved with the action's promise, or with nothing if somebody thinks better of it. */
	confirm(title, sentences, label, action) {
		return new Promise((resolve, reject) => {
			const button = (text, style, answer) => E('button', { 'class': 'btn cbi-button ' + style, 'type': 'button', 'click': ev => {
				ev.currentTarget.blur();
				ui.hideModal();
				dialog.removeAttribute('aria-label');
				answer();
			} }, [ text ]);
			const yes = button(label, 'cbi-button-action important', () => action().then(resolve, reject));

			const dialog = ui.showModal([ title ], [
				...sentences.filter(said => said).map(said => el('p', said)),
				el('div.right', button(_('Cancel'), '', resolve), ' ', yes)
			]);
			dialog.setAttribute('aria-label', title);
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
		/* Good ones go before degraded ones, whatever their priority. */
		const place = p => p?.reliable && p.default ? p.priority + (p.state == 'degraded' && 65536) : Infinity;
		const better = providers.some(p => p.name != active && place(p) < place(current));

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
		if (this.situation != situation && providers.length)
			setText(this.announcement, sentence);
		this.situation = situation;

		show(this.automatic, this.may && status.pin_source == 'runtime');
		show(this.checkAll, this.may && status.enabled && providers.length > 0);
		show(this.pinned, status.pin_source == 'config');
		for (const { field, entries, node } of this.alerts) {
			list(entries, 'li', (status[field] ?? []).map(failover.plain));
			/* Without a provider there is one thing to be said, and the welcome says it. */
			show(node, status[field]?.length > 0 && (providers.length > 0 || field == 'config_errors'));
		}
		show(this.hero, providers.length > 0);
		show(this.welcome, !providers.length);
		show(this.details, providers.length > 0);

		this.updateRows(providers);
		/* While connections cannot be marked nothing follows them; a warning says so. */
		show(this.rules, status.rules?.length > 0 && status.marks != 'failed');
		this.ruleTable.fill((status.rules ?? []).map(({ name, provider, fallback }) =>
			[ name, provider ?? (fallback == 'default' ? _('none of its own: goes where other traffic goes') : _('none: unreachable')) ]));
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
		const id = 'failover-more-%d'.format(this.made = (this.made ?? 0) + 1);
		const cell = (title, ...children) => E('td', { 'class': 'td', 'data-title': title }, children);
		const button = (label, told, action) => {
			const node = this.button(label, action);
			node.setAttribute('aria-label', told.format(name));
			return node;
		};
		const row = {
			open: false,
			toggle: E('button', { 'class': 'failover-toggle', 'type': 'button', 'aria-expanded': 'false', 'aria-controls': id, 'click': () => {
				row.open = !row.open;
				setAttribute(row.toggle, 'aria-expanded', String(row.open));
				this.update();
			} }, [ name ]),
			description: el('div.failover-minor'),
			badge: failover.badge(''),
			connections: el('div.failover-minor'),
			roles: [ _('Active'), _('Standby'), _('Pinned'), _('Metered'), _('Captive portal') ].map(role => el('span.failover-role', role)),
			interface: link('', 'network'),
			device: el('span.failover-device'),
			gateway: el('div.failover-minor'),
			metric: el('div.failover-minor'),
			latency: el('span.failover-number'),
			spark: series.newSpark(),
			loss: el('span.failover-number'),
			checks: el('span.failover-number'),
			failed: el('div.failover-minor'),
			since: el('span.failover-number'),
			use: button(_('Use this one'), _('Use this one: %s'), () => this.pin(name)),
			check: button(_('Check now'), _('Check now: %s'), () => failover.check(name)),
			portal: el('p.failover-portal', _('Somebody else answers on this line in place of the internet, most often with a page to log in at. Open any http:// page through this line and log in.')),
			stranded: el('p.failover-portal'),
			sentences: el('ul.failover-why'),
			facts: FACTS.map(([ label, tell ]) => {
				const value = el('dd');
				return { tell, value, node: el('div', el('dt', label), value) };
			}),
			tests: table([ _('Test'), _('Type'), _('Target'), _('Sent'), _('Lost'), _('Latency'), _('Last answer'), _('Remark') ], '.failover-tests')
		};

		row.roles[0].classList.add('active');
		row.roles[4].classList.add('portal');
		row.node = el('tr.tr.failover-provider',
			E('th', { 'class': 'td', 'scope': 'row' }, [ row.toggle, row.description ]),
			cell(_('State'), row.badge, el('div', ...row.roles), row.connections),
			cell(_('Connection'), row.interface, row.device, row.gateway, row.metric),
			cell(_('Latency'), row.latency, row.spark),
			cell(_('Loss'), row.loss),
			cell(_('Checks'), row.checks, row.failed),
			cell(_('Since'), row.since),
			...(this.may ? [ el('td.td.failover-actions', row.use) ] : []));
		row.rest = el('div',
			el('dl.failover-facts', ...row.facts.map(fact => fact.node)),
			row.tests.node,
			el('p.failover-buttons', row.check, link(_('Settings of the providers'), 'failover')));
		row.more = E('tr', { id, 'class': 'tr failover-more' }, [ E('td', { 'class': 'td', 'colspan': 8 }, [ row.portal, row.stranded, row.sentences, row.rest ]) ]);

		return row;
	},

	updateRow(row, provider, why) {
		const { status } = this;
		const state = failover.stateOf(provider);
		const troubled = ![ 'online', 'disabled', 'cold_standby' ].includes(state);
		const portal = provider.reason_code == 'captive_portal';
		const stranded = provider.stranded?.join(', ');
		const connections = this.connections?.[provider.name];
		const roles = [ provider.active, why?.role == 'standby' && provider.default, status.pin == provider.name, provider.metered, portal ];

		setAttribute(row.node, 'data-active', String(provider.active));
		setText(row.description, provider.description ?? '');
		failover.setBadge(row.badge, state);
		row.roles.forEach((role, i) => show(role, !!roles[i]));
		setText(row.roles[0], provider.share_percent == null ? _('Active') : _('Active: %s').format(failover.percent(provider.share_percent)));
		setText(row.connections, connections == null ? '' : N_(connections, '%d connection', '%d connections').format(connections));
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
		show(row.use, this.may && status.enabled && status.pin != provider.name && provider.state != 'disabled' && provider.default);

		/* Trouble speaks for itself, unfolded or not. */
		show(row.more, row.open || troubled || !!stranded);
		show(row.portal, portal);
		show(row.stranded, !!stranded);
		setText(row.stranded, stranded ? _('Routes of other programs, which failoverd leaves alone, still lead through it: %s').format(stranded) : '');
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
			test.name, test.type, [ target.target, target.addresses?.join(', ') ].filter(said => said).join(' = '),
			String(target.sent), String(target.lost), failover.latency(target.latency_ms),
			target.answered == null ? _('never') : _('%s ago').format(failover.duration(target.answered)),
			[ target.suspect && _('suspect: answers nowhere, asked last'), target.reason ].filter(said => said).join('; ')
		])));
	},

	updateDay(names) {
		const uptime = series.next || this.status.uptime;

		setText(this.dayTitle, uptime < 86400 ? _('Since the start of failoverd') : _('Last day'));
		list(this.names, 'div', names);
		series.drawDay(this.day, names, this.status.active, uptime);
		this.words.replaceChildren(...names.flatMap(name => {
			const bands = series.bands(name, uptime).filter(band => band[2] != 'online');
			return [ el('dt', name), ...(bands.length ? bands.map(series.tellBand, series) : [ _('No trouble seen.') ]).map(words => el('dd', words)) ];
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
