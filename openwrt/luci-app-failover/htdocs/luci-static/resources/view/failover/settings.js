'use strict';
'require dom';
'require firewall';
'require form';
'require network';
'require tools.failover as failover';
'require tools.widgets as widgets';
'require uci';
'require ui';
'require view';

/* Network -> Failover: /etc/config/failover as a form. The options and their limits come from the daemon's table (ubus `schema`), and so
   does the verdict on a configuration, before it is saved (ubus `validate`). Fed by uci and ubus; feeds uci. */

const CONFIG = 'failover';
const Grid = form.GridSection.prototype;
const Interfaces = widgets.NetworkSelect.prototype;

/* What nearly everybody looks at. The rest follows in the order of the daemon's table, on other tabs. */
const MAIN = {
	provider: [ 'enabled', 'description', 'interface', 'device', 'priority', 'weight', 'metered', 'cold_standby', 'test' ],
	test: [ 'type', 'target' ],
	rule: [ 'enabled', 'src', 'dest', 'proto', 'dest_port', 'use', 'fallback' ],
	failover: [ 'enabled', 'failback', 'failback_delay', 'last_resort', 'pin' ]
};

/* What belongs together, on tabs of its own. */
const TABS = {
	traffic: [ 'balance', 'default', 'inbound', 'drain', 'flush_conntrack', 'static_routes', 'sticky' ],
	quality: [ 'quality_window', 'max_loss', 'recover_loss', 'max_latency', 'recover_latency', 'max_jitter' ],
	recovery: [ 'recover', 'recover_after', 'recover_script' ]
};

/* What the rows of a grid show. */
const COLUMNS = [ 'enabled', 'interface', 'priority', 'weight', 'metered', 'type', 'target', 'src', 'dest', 'proto', 'dest_port', 'use' ];

const TITLES = {
	address: _('Source address'),
	advmss: _('TCP segment size'),
	attempt_interval: _('Time between attempts'),
	attempts: _('Further attempts'),
	balance: _('Share traffic'),
	base_priority: _('First rule priority'),
	base_table: _('First routing table'),
	cold_standby: _('Cold standby'),
	default: _('Default traffic'),
	description: _('Description'),
	dest: _('Destination'),
	dest_port: _('Destination ports'),
	device: _('Device'),
	dns_routes: _('Routes to DNS servers'),
	down: _('Failures until unreliable'),
	drain: _('Connections after failback'),
	dscp: _('DSCP'),
	enabled: _('Enabled'),
	expect: _('Expected answer'),
	failback: _('Failback'),
	failback_delay: _('Failback delay'),
	fallback: _('None reliable'),
	flush_conntrack: _('Forget connections'),
	gateway: _('Gateway'),
	history: _('Results kept'),
	inbound: _('Answer where it came in'),
	initcwnd: _('First congestion window'),
	initrwnd: _('First receive window'),
	interface: _('Interface'),
	interval: _('Check interval'),
	last_resort: _('None reliable'),
	local: _('Own connections'),
	log_level: _('Log level'),
	mark_mask: _('Mark mask'),
	max_failed: _('Failures allowed'),
	max_jitter: _('Most jitter'),
	max_latency: _('Most latency'),
	max_loss: _('Most loss'),
	metered: _('Metered'),
	min_timeout: _('Shortest timeout'),
	mtu: _('MTU'),
	pin: _('Pinned provider'),
	priority: _('Priority'),
	proto: _('Protocol'),
	quality_window: _('Probes measured'),
	query: _('Name asked for'),
	quickack: _('Quick acknowledgements'),
	record: _('Record type'),
	recover: _('Recovery'),
	recover_after: _('Recovery after'),
	recover_latency: _('Latency to recover'),
	recover_loss: _('Loss to recover'),
	recover_script: _('Recovery script'),
	required: _('Tests required'),
	resolver: _('DNS servers for names'),
	script: _('Script'),
	size: _('Size'),
	source_rules: _('Source rules'),
	src: _('Source'),
	src_port: _('Source ports'),
	standby_interval: _('Standby check interval'),
	start_metric: _('First metric'),
	static_routes: _('Static routes'),
	status: _('Expected status'),
	sticky: _('Keep static routes'),
	takeover: _('Take over other routes'),
	target: _('Targets'),
	test: _('Tests'),
	timeout: _('Timeout'),
	ttl: _('TTL'),
	type: _('Type'),
	up: _('Successes until reliable'),
	use: _('Providers'),
	weight: _('Weight')
};

const WORDS = { 1: '1', yes: '1', on: '1', true: '1', enabled: '1', no: '0', off: '0', false: '0', disabled: '0' };
const MILLISECONDS = { ms: 1, s: 1000, m: 60000, h: 3600000 };
const OCTET = '(\\d|[1-9]\\d|1\\d\\d|2[0-4]\\d|25[0-5])';
const IPV4 = new RegExp(`^${OCTET}(\\.${OCTET}){3}$`);
const LABEL = '(?!-)[\\w-]{0,62}\\w';
const NAME = new RegExp(`^(?=.{1,253}\\.?$)(${LABEL}\\.)*${LABEL}\\.?$`);
const NETWORK = new RegExp(`^${OCTET}(\\.${OCTET}){3}(/([12]?\\d|3[0-2]))?$`);
/* Host and port of a target, by the type of the test; a script understands what it likes. */
const TARGETS = { ping: /^([^:/]+)$/, tcp: /^([^:/]+)(?::(\d+))?$/, dns: /^([^:/]+)(?::(\d+))?$/, http: /^http:\/\/([^:/]+)(?::(\d+))?(?:\/[!-~]*)?$/ };

let schema;        /* the daemon's table; null: it does not answer */
let zones;         /* firewall zones by interface */
let known = [];    /* the problems of the configuration as it is */

/* Without the daemon there is no table: the main options as plain text are better than none. */
function table() {
	const types = { interface: 'interface', device: 'device', test: 'test', pin: 'provider', use: 'provider' };
	const lists = [ 'test', 'target', 'src', 'dest', 'proto', 'dest_port', 'use' ];

	return schema?.options ?? Object.keys(MAIN).flatMap(type => MAIN[type].map(name => ({
		name, sections: [ type ], type: types[name] ?? 'text', list: lists.includes(name)
	})));
}

function names(type) {
	const found = uci.sections(CONFIG, type).map(section => section['.name']);

	return (type == 'test' && !found.length && schema) ? [ schema.builtin_test.name ] : found;
}

/* How a section is called where it has no name: by its place, as the daemon does. */
function nameOf(sid) {
	const { '.anonymous': anonymous, '.type': type } = uci.get(CONFIG, sid) ?? {};

	return anonymous ? `#${1 + names(type).indexOf(sid)}` : sid;
}

/* The part of the traffic that a provider gets while all of its tier are reliable. */
function share(sid) {
	const all = names('provider');
	const value = (it, name, otherwise = 1) => uci.get(CONFIG, it, name) ?? otherwise;
	const place = it => +value(it, 'priority', 1 + all.indexOf(it));
	const weight = it => +value(it, 'weight');
	const tier = all.filter(it => place(it) == place(sid) && [ 'enabled', 'balance', 'default' ].every(name => WORDS[value(it, name)] == '1'));
	const percent = 100 * weight(sid) / tier.reduce((sum, it) => sum + weight(it), 0);

	return tier.includes(sid) && percent < 100 ? `(${failover.percent(percent)})` : '';
}

function isTarget(type, text) {
	const [ , host, port = 1 ] = TARGETS[type]?.exec(text) ?? [];

	return !TARGETS[type] || (host != null && port > 0 && port < 65536 && (/^[\d.]+$/.test(host) ? IPV4 : NAME).test(host));
}

/* Whether an option takes a value, as far as its type and limits tell, a target in a test of this type; the rest is asked of the daemon. */
function judge(spec, value, type) {
	const within = number => number >= spec.min && number <= spec.max;
	const whole = /^\d+$/.test(value);
	const counted = whole && within(+value);
	const [ , first, last = first ] = value.match(/^(\d+)(?:-(\d+))?$/) ?? [];
	const [ , number, unit ] = value.match(/^(\d+(?:\.\d+)?)(ms|s|m|h)?$/) ?? [];
	const lasting = within(number * MILLISECONDS[unit ?? 's']);
	const fine = {
		duration: lasting,
		drain: lasting || value == 'keep' || value == 'cut',
		number: counted,
		count_or_all: counted || value == 'all',
		address: IPV4.test(value),
		target: isTarget(type, value),
		name: NAME.test(value),
		script: value[0] == '/',
		gateway: IPV4.test(value) || value == 'none',
		network: NETWORK.test(value) && !value.endsWith('/0'),
		address_match: NETWORK.test(value.replace(/^!\s*/, '')),
		ports: +first <= +last && last < 65536,
		protocol: /^(tcp|udp|icmp|sctp|gre|esp|ah)$/.test(value) || (whole && value < 256),
		dscp: /^(cs[0-7]|af[1-4][1-3]|ef|le)$/.test(value) || (whole && value < 64)
	}[spec.type] ?? spec.choices?.includes(value);

	if (value == '' || fine !== false)
		return true;
	if (spec.forms && /^https:/.test(value))
		return _('cannot be asked, as failoverd speaks no TLS: use a test of type tcp with port 443');

	return _('must be %s').format(_((formOf(spec, type) ?? spec).must));
}

/* What a target is like in a test of this type. */
function formOf(spec, type) {
	return spec.forms?.find(it => it.type == type);
}

/* What an option is while it is left empty: in a provider as in 'settings', else its default. A metered one's interval is in its description. */
function fallback(spec, type, sid) {
	const shared = spec.sections.length > 1 && type == 'provider';
	const metered = shared && WORDS[uci.get(CONFIG, sid, 'metered')] == '1';
	const usual = spec.name == 'drain' && shared ? (metered ? 'cut' : 'keep') : !(metered && spec.name == 'standby_interval') && spec.default;
	const value = (shared && uci.get(CONFIG, 'settings', spec.name)) || usual || '';

	if (spec.name == 'priority')
		return String(1 + names(type).indexOf(sid));

	return (spec.type == 'duration' && /\d$/.test(value)) ? `${value}s` : [ value ].flat().join(', ');
}

/* The file as libuci would write it: as uci holds it, and over that what a form's section shows. */
function text(form) {
	const shown = Object.fromEntries((form?.children ?? []).map(option => [ option.option, option.outcome(form.section) ]));
	const quote = value => `'${String(value).replace(/'/g, "'\\''")}'`;
	const ids = names();

	if (form && !ids.includes(form.section) && Object.values(shown).some(value => value != null))
		ids.unshift(form.section);

	return ids.map(sid => {
		const section = { '.type': CONFIG, ...uci.get(CONFIG, sid), ...(sid == form?.section ? shown : null) };
		const lines = Object.keys(section).filter(name => name[0] != '.' && section[name] != null).flatMap(name => {
			const word = Array.isArray(section[name]) ? 'list' : 'option';
			return [ section[name] ].flat().map(value => `\t${word} ${name} ${quote(value)}\n`);
		});

		return `\nconfig ${section['.type']}${section['.anonymous'] ? '' : ' ' + quote(sid)}\n${lines.join('')}`;
	}).join('');
}

/* {problems, warnings} of the daemon, without the place in a file that nobody sees; null: it does not answer. */
function consult(form) {
	return L.resolveDefault(failover.validate(text(form)), null)
		.then(answer => answer && { problems: answer.problems.map(failover.plain), warnings: answer.warnings.map(failover.plain) });
}

function notice(style, title, lines) {
	return E('div', { 'class': `alert-message ${style}`, 'role': 'alert', 'tabindex': -1 }, [
		E('p', {}, [ E('strong', {}, [ title ]) ]),
		...lines.map(line => E('div', {}, [ line ]))
	]);
}

/* Moves a row or an entry by the arrow keys. */
function step(ev, node, kind) {
	const [ other, side ] = { ArrowUp: [ node.previousElementSibling, 'before' ], ArrowDown: [ node.nextElementSibling, 'after' ] }[ev.key] ?? [];

	if (node.matches(kind) && other?.matches(kind)) {
		ev.preventDefault();
		other[side](node);
		ev.target.focus();
	}
}

/* A widget shows less than a file can hold (yes or on, an interface that is away), and LuCI writes what it shows: so an option is only
   written once somebody has touched it. */
const CARE = {
	load(sid) {
		const { choices, type, list } = this.spec;
		const found = uci.get(CONFIG, sid, this.option);
		const value = type == 'flag' ? WORDS[found] ?? found : found;
		const words = choices ?? ([ 'provider', 'test' ].includes(type) ? names(type) : null);

		this.keylist = this.vallist = null;

		/* What is there can be chosen, although it is none of the words. */
		for (const word of new Set(words?.concat(list ? [] : value ?? [])))
			this.value(word, type == 'flag' ? { 1: _('yes'), 0: _('no') }[word] : word);

		return value;
	},

	renderWidget(sid, ...args) {
		const empty = formOf(this.spec, this.kind(sid))?.example ?? fallback(this.spec, this.section.sectiontype, sid);

		this.placeholder = !this.optional ? empty || null : empty ? _('%s (default)').format(empty) : _('none');

		const node = this.constructor.prototype.renderWidget.call(this, sid, ...args);

		this.shown = { ...this.shown, [sid]: JSON.stringify(dom.callClassMethod(node, 'getValue')) };

		if (node.matches('.cbi-dropdown, .cbi-dynlist'))
			node.setAttribute('role', 'group');

		/* The order of a list counts, and its entries can have the focus. */
		node.addEventListener('keydown', ev => this.map.readonly || step(ev, ev.target, '.item'));

		for (const input of [ node, ...node.querySelectorAll('input:not([type="hidden"]), select') ])
			if (input.matches('[role], input, select'))
				input.setAttribute('aria-label', this.title);

		return node;
	},

	beside(name) {
		return this.section.children.find(option => option.option == name);
	},

	/* The type of a test, as it is chosen now. */
	kind(sid) {
		const type = this.beside('type');

		return (type?.formvalue(sid) ?? uci.get(CONFIG, sid, 'type')) || type?.spec.default;
	},

	/* Somebody has chosen a type of test that does not have this option. */
	dropped(sid) {
		return this.spec.types && uci.get(CONFIG, sid, this.option) != null && !this.isActive(sid) && this.beside('type').touched(sid);
	},

	touched(sid) {
		const element = this.getUIElement(sid);

		return element && (JSON.stringify(element.getValue()) != this.shown[sid] || this.dropped(sid));
	},

	/* What will be in the file; null: nothing. */
	outcome(sid) {
		if (!this.touched(sid))
			return uci.get(CONFIG, sid, this.option);

		const value = this.isActive(sid) ? this.formvalue(sid) : '';

		return (value == '' || value == this.default) ? null : value;
	},

	parse(sid) {
		return (this.touched(sid) || (this.isActive(sid) && !this.isValid(sid))) ? this.constructor.prototype.parse.call(this, sid) : Promise.resolve();
	},

	write(sid, value) {
		if (!uci.get(CONFIG, sid)) {
			uci.add(CONFIG, CONFIG, sid);
			uci.move(CONFIG, sid, names()[0]);
		}

		uci.set(CONFIG, sid, this.option, value);
	},

	validate(sid, value) {
		return judge(this.spec, value, this.kind(sid));
	},

	/* In a row: the value, else the default; of a priority the place in the list. */
	textvalue(sid) {
		const value = this.cfgvalue(sid);

		const node = value ? E('span', {}, [ [ value ].flat().join(', ') ]) : E('em', { 'class': `failover-${this.option}` }, [ this.spec.default ?? '' ]);

		if (this.option == 'weight')
			node.append(' ', E('span', { 'class': 'failover-share' }, [ share(sid) ]));

		return node;
	}
};

const LIST = {
	widget: form.DynamicList,

	/* Called for the line that is being typed, and with nothing for the list. */
	validate(sid, value) {
		const element = this.getUIElement(sid);
		const typed = element?.node.querySelector('.add-item > input');
		const items = value == '' ? [ ...L.toArray(element?.getValue()), typed?.value ?? '' ] : [ value ];

		return items.map(item => judge(this.spec, item, this.kind(sid))).find(answer => answer !== true) ?? true;
	}
};

const CHOICE = { widget: form.ListValue, optional: true };

const WIDGETS = {
	choice: CHOICE,
	test_type: {
		...CHOICE,

		/* An example of a target for whoever has none. */
		onchange(ev, sid) {
			const target = this.beside('target');

			target.getUIElement(sid).node.querySelector('.add-item > input').placeholder = formOf(target.spec, this.kind(sid))?.example ?? '';
		}
	},
	provider: CHOICE,
	flag: { widget: form.Flag, textvalue: form.Flag.prototype.textvalue },
	device: { widget: widgets.DeviceSelect, noaliases: true, load: widgets.DeviceSelect.prototype.load },

	interface: {
		widget: widgets.NetworkSelect,
		nocreate: true,

		load(sid) {
			return Interfaces.load.call(this, sid).then(name => {
				/* LuCI takes a name for HTML. */
				if (/^[\w.-]+$/.test(name ?? '') && !this.networks.some(net => net.getName() == name))
					this.networks.push(Object.assign(network.instantiateNetwork(name), { missing: true }));

				return name;
			});
		},

		renderIfaceBadge(net) {
			const badge = Interfaces.renderIfaceBadge.call(this, net);
			const zone = zones[net.getName()];
			const facts = net.missing ? [ _('does not exist') ] : [ net.getI18n(), net.getIPAddr(), zone && _('zone %s').format(zone) ];

			dom.append(badge, [ ' ', facts.filter(fact => fact).join(', ') ]);

			return badge;
		},

		textvalue(sid) {
			const device = uci.get(CONFIG, sid, 'device');

			return (device && !this.cfgvalue(sid)) ? E('span', {}, [ device ]) : Interfaces.textvalue.call(this, sid);
		}
	}
};

/* The options of a section type, on their tabs. */
function addOptions(section, type) {
	const main = MAIN[type];
	const all = table().filter(spec => spec.sections.includes(type));
	const kinds = all.find(spec => spec.type == 'test_type');
	const tabs = { general: _('General'), traffic: _('Traffic'), checks: _('Checks'), quality: _('Quality'), recovery: _('Recovery'), advanced: _('Advanced') };
	const tabOf = spec => type == 'test' || main.includes(spec.name) ? 'general'
		: Object.keys(TABS).find(tab => TABS[tab].includes(spec.name)) ?? (spec.sections.length > 1 ? 'checks' : 'advanced');
	/* A provider's own options before those that it shares with the settings: so they are written, too. */
	const place = spec => main.includes(spec.name) ? main.indexOf(spec.name) : main.length + (type == 'provider' && spec.sections.length > 1);

	const used = Object.keys(tabs).filter(tab => all.some(spec => tabOf(spec) == tab));

	if (used.length > 1)
		for (const tab of used)
			section.tab(tab, tabs[tab], [ 'checks', 'quality', 'recovery' ].includes(tab) && type == 'provider' ? _('Left empty, these are as in the settings for all providers.') : null);

	for (const spec of all.slice().sort((a, b) => place(a) - place(b))) {
		/* On, off, or as it comes. */
		if (spec.type == 'flag' && !spec.default)
			spec.choices = [ '1', '0' ];

		const own = spec.list ? LIST : spec.choices?.[1] == '0' ? CHOICE : WIDGETS[spec.type] ?? { widget: form.Value };
		const args = [ own.widget, spec.name, TITLES[spec.name] ?? spec.name, spec.doc ? '%h'.format(_(spec.doc)) : null ];
		const option = section.tabs ? section.taboption(tabOf(spec), ...args) : section.option(...args);

		Object.assign(option, CARE, own, { spec, modalonly: !COLUMNS.includes(spec.name) || null });

		if (spec.type == 'flag' && !spec.choices)
			option.default = spec.default;

		/* An empty type is the default. */
		for (const kind of (kinds && spec.types) ?? [])
			for (const word of kind == kinds.default ? [ kind, '' ] : [ kind ])
				option.depends('type', word);
	}
}

return view.extend({
	load() {
		return Promise.all([
			L.resolveDefault(failover.schema(), null),
			L.resolveDefault(firewall.getZones(), []),
			uci.load(CONFIG)
		]);
	},

	render([ answer, found ]) {
		schema = answer;
		zones = Object.fromEntries(found.flatMap(zone => zone.getNetworks().map(name => [ name, zone.getName() ])));

		this.may = L.hasViewPermission();
		this.last = Promise.resolve();
		this.notes = E('div');
		this.offer = E('div');
		this.map = new form.Map(CONFIG);
		this.map.tabbed = true;
		this.map.save = (...args) => this.inTurn(() => form.Map.prototype.save.apply(this.map, args)).then(() => this.review());

		const order = this.may ? [ _('Drag the rows into order, or move them by the arrow keys on ☰.') ] : [];

		this.addGrid('provider', { title: _('Providers'), addbtntitle: _('Add provider'), modaltitle: _('Provider %s'), sortable: this.may },
			_('The first reliable provider is used; those of equal priority share the traffic by weight.'), ...order, _('A priority that is set goes before the place.'));

		this.addGrid('rule', { title: _('Rules'), addbtntitle: _('Add rule'), modaltitle: _('Rule %s'), sortable: this.may },
			_('A new connection uses the providers of the first rule that fits it; without one it goes where other traffic goes.'), ...order)
			.renderSectionPlaceholder = () => E('em', {}, [ _('There are no rules yet.') ]);

		const tests = this.addGrid('test', { title: _('Tests'), addbtntitle: _('Add test'), modaltitle: _('Test %s') },
			_('How to find out whether the internet can be reached through a provider.'));
		tests.renderSectionPlaceholder = () => E('em', {}, [ schema
			? _('Without a test of your own, failoverd pings %s.').format(schema.builtin_test.targets.join(', '))
			: _('There are no tests yet.') ]);

		this.settings = this.map.section(form.NamedSection, 'settings', CONFIG, _('Settings'));
		this.settings.hidetitle = true;
		this.settings.renderContents = function([ held, nodes ]) {
			return form.NamedSection.prototype.renderContents.call(this, [ held ?? {}, nodes ]);
		};
		addOptions(this.settings, CONFIG);

		return this.map.render().then(node => {
			this.review();

			return E('div', {}, [
				E('h2', { 'name': 'content' }, [ _('Failover') ]),
				this.notes,
				this.offer,
				node
			]);
		});
	},

	addGrid(type, { title, modaltitle, ...more }, ...description) {
		const page = this;
		const grid = this.map.section(form.GridSection, type, title, description.join(' '));

		addOptions(grid, type);

		return Object.assign(grid, {
			addremove: true,
			hidetitle: true,
			nodescriptions: true,
			actionstitle: _('Actions'),
			handleSort: null,
			modaltitle: sid => modaltitle.format(nameOf(sid)),
			sectiontitle: nameOf,
			...more,

			renderSectionAdd(...args) {
				const node = Grid.renderSectionAdd.apply(this, args);
				const name = node.querySelector('.cbi-section-create-name');

				name.setAttribute('aria-label', _('Name'));
				name.setAttribute('placeholder', type == 'rule' ? _('Name, or none') : _('Name'));

				/* LuCI wants a name, and says so here. */
				const nameless = () => {
					if (type == 'rule' && page.may && name.value == '') {
						name.classList.remove('cbi-input-invalid');
						name.removeAttribute('data-tooltip');
						node.querySelector('button').disabled = false;
					}
				};

				name.addEventListener('keyup', nameless);
				name.addEventListener('blur', nameless);
				nameless();

				return node;
			},

			handleAdd(ev, name) {
				const taken = name == 'settings' || uci.get(CONFIG, name);

				dom.content(page.notes, taken && notice('error', _('There is a section of this name already:'), [ name ]));

				return taken ? page.notes.firstChild.focus() : Grid.handleAdd.call(this, ev, name || undefined);
			},

			renderRowActions(sid) {
				const cell = Grid.renderRowActions.call(this, sid);

				page.label(cell, sid);
				cell.querySelector('.drag-handle')?.addEventListener('keydown', ev => page.moveRow(ev, row => step(ev, row, '[data-sid]')));

				return cell;
			},

			handleDrop(ev) { page.moveRow(ev, () => Grid.handleDrop.call(this, ev)); },
			handleTouchEnd(ev) { page.moveRow(ev, () => Grid.handleTouchEnd.call(this, ev)); },

			/* LuCI's dialog has a title, but no name. */
			renderMoreOptionsModal(sid, ...args) {
				return Grid.renderMoreOptionsModal.call(this, sid, ...args)
					.then(() => document.querySelector('.modal').setAttribute('aria-label', this.modaltitle(sid)));
			},

			/* LuCI leaves the focus nowhere: back to the row that the modal was about, or to the name of the next one. */
			handleModalCancel(map, ...args) {
				return Promise.resolve(Grid.handleModalCancel.call(this, map, ...args)).then(() => {
					const node = document.querySelector(`#cbi-${CONFIG}-${type}`);

					document.querySelector('.modal').removeAttribute('aria-label');
					(node.querySelector(`tr[data-sid="${map.section}"] .cbi-button-edit`) ?? node.querySelector('.cbi-section-create-name'))?.focus();
				});
			},

			addModalOptions(section) {
				section.map.save = (...args) => page.saveModal(section, args);
			}
		});
	},

	/* Stages a modal's section, unless that would bring in a new problem. */
	saveModal(section, args) {
		const map = section.map;

		return consult(section).then(verdict => {
			const fresh = (verdict?.problems ?? []).filter(line => !known.includes(line));

			map.root.querySelector('.alert-message')?.remove();

			if (fresh.length) {
				map.root.prepend(notice('error', _('failoverd does not accept this:'), fresh));
				map.root.firstChild.focus();
				throw new Error(fresh.join('\n'));
			}

			return form.Map.prototype.save.apply(map, args).then(() => this.review());
		});
	},

	/* What depends on the place of a row. */
	label(node, sid) {
		for (const button of node.querySelectorAll('button'))
			button.setAttribute('aria-label', `${nameOf(sid)}: ${button.title}`);
		for (const part of node.querySelectorAll('.failover-share'))
			part.textContent = share(sid);
	},

	/* Stages a new order at once: uci.save() forgets it where options are deleted in the same breath. */
	moveRow(ev, move) {
		const row = ev.currentTarget.closest('tr');
		const rows = row.parentNode;
		const order = () => [ ...rows.querySelectorAll('[data-sid]') ].map(it => it.dataset.sid);
		const before = order();

		move(row);

		if (String(order()) != String(before))
			this.inTurn(() => {
				const ids = order();

				ids.slice(1).forEach((sid, i) => uci.move(CONFIG, sid, ids[i], true));

				return uci.save();
			}).then(() => {
				for (const it of rows.querySelectorAll('[data-sid]')) {
					it.dataset.title = it.cells[0].textContent = nameOf(it.dataset.sid);
					this.label(it, it.dataset.sid);
				}

				return this.review();
			});
	},

	/* One saving after the other: each sends all that is staged, and the form is drawn anew after it. */
	inTurn(save) {
		const saved = this.last.then(save);

		this.last = saved.catch(() => {});

		return saved;
	},

	/* Shows what the daemon says of the configuration. */
	show(verdict) {
		const { problems, warnings } = verdict ?? {};

		dom.content(this.notes, !verdict
			? notice('warning', _('failoverd does not answer.'), [ _('Changes can be saved, but nothing checks them before.'), schema ? '' : _('Only the main options are shown.') ])
			: problems.length ? notice('error', _('failoverd does not accept this configuration:'), problems)
			: warnings.length ? notice('warning', _('failoverd accepts this configuration, but:'), warnings) : null);
	},

	/* Looks at the configuration as it is: problems, and whether there is a provider at all. */
	review() {
		return Promise.all([ consult(), names('provider').length ? null : L.resolveDefault(failover.draft(), null) ]).then(([ verdict, draft ]) => {
			known = verdict?.problems ?? [];
			this.show(verdict);
			dom.content(this.offer, draft && this.renderDraft(draft));
		});
	},

	renderDraft(draft) {
		const found = draft.sections.filter(section => section.type == 'provider');
		const line = ({ name, options }) => E('p', {}, [
			E('strong', {}, [ name ]), `: ${TITLES.interface} ${options.interface ?? options.device}`, options.metered == '1' ? `, ${TITLES.metered}` : ''
		]);

		return E('div', { 'class': 'cbi-section' }, [
			E('h3', {}, [ found.length ? _('These lines to the internet were found') : _('No line to the internet was found') ]),
			...found.map(line),
			E('div', { 'class': 'cbi-section-descr' }, [ ...draft.decisions, ...draft.left_out ].map(reason => E('div', {}, [ reason ]))),
			found.length ? E('p', {}, [ E('button', {
				'class': 'btn cbi-button cbi-button-action important',
				'click': ui.createHandlerFn(this, 'acceptDraft', draft),
				'disabled': this.map.readonly || null
			}, [ _('Use these providers') ]) ]) : ''
		]);
	},

	acceptDraft(draft) {
		const added = draft.sections.filter(section => !uci.get(CONFIG, section.name));

		added.forEach(section => uci.add(CONFIG, section.type, section.name));

		for (const section of draft.sections)
			for (const name in section.options)
				uci.set(CONFIG, section.name, name, section.options[name]);

		return this.handleSave().then(saved => {
			if (saved)
				return ui.changes.apply(true);

			added.forEach(section => uci.remove(CONFIG, section.name));
		});
	},

	/* Unless the daemon refuses; true: saved. */
	handleSave() {
		return this.last.then(() => consult(this.settings)).then(verdict => {
			if (verdict?.problems.length) {
				this.show(verdict);
				this.notes.firstChild.focus();

				return false;
			}

			return this.map.save().then(() => true, () => false);
		});
	},

	handleSaveApply(ev, mode) {
		return this.handleSave().then(saved => saved && ui.changes.apply(mode == '0'));
	}
});
