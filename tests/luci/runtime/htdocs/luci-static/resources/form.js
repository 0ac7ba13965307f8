'use strict';
'require baseclass';
'require dom';
'require inputs';
'require rpc';
'require uci';
'require ui';

// LuCI's form module with the sections and options that the settings page has. What is written when, what stops a save, and the nodes that
// a theme and a test look for are as in the original; tables for grids alone, dependencies on options of the same section, no clones.

const callAccess = rpc.declare({ object: 'session', method: 'access', params: [ 'scope', 'object', 'function' ], expect: { access: false } });
const same = (a, b) => JSON.stringify(a ?? null) == JSON.stringify(b ?? null);

const Element = baseclass.extend({
	__init__(title, description) {
		Object.assign(this, { title: title ?? '', description: description ?? '', children: [] });
	},

	append(child) {
		this.children.push(child);
		return child;
	},

	stripTags(text) { return /[<>&]/.test(text) ? dom.parse(`<div>${text}</div>`).textContent : text; },

	titleFn(name, ...args) {
		const text = typeof(this[name]) == 'function' ? this[name](...args) : this[name];
		return text ? this.stripTags(String(text)).trim() || null : null;
	}
});

const FormMap = Element.extend({
	__init__(config, ...args) {
		Element.prototype.__init__.apply(this, args);
		this.config = config;
		this.data = uci;
	},

	section(kind, ...args) { return this.append(kind.instantiate([ this, ...args ])); },
	findElement(name, value) { return this.root.querySelector(`[${name}="${value}"]`); },

	load() {
		return Promise.all([ this.readonly == null ? callAccess('uci', this.config, 'write') : true, this.data.load(this.config) ]).then(([ may ]) => {
			if (may === false)
				this.readonly = true;
			return Promise.all(this.children.map(section => section.load()));
		});
	},

	parse() { return Promise.all(this.children.map(section => section.parse())); },

	// Shows and hides what depends on other options, and judges what is shown.
	checkDepends() {
		this.children.forEach(section => section.checkDepends());
	},

	save(callback, silent) {
		this.checkDepends();
		return this.parse()
			.then(callback)
			.then(() => this.data.save())
			.then(() => this.load())
			.catch(error => {
				if (!silent)
					ui.showModal(_('Save error'), [
						E('p', {}, [ _('An error occurred while saving the form:') ]),
						E('p', {}, [ E('em', { 'style': 'white-space:pre-wrap' }, [ error.message ]) ]),
						E('div', { 'class': 'right' }, [ E('button', { 'class': 'cbi-button', 'click': ui.hideModal }, [ _('Dismiss') ]) ])
					]);
				throw error;
			})
			.then(() => this.renderContents());
	},

	reset() { return this.renderContents(); },
	render() { return this.load().then(() => this.renderContents()); },

	renderContents() {
		this.root ??= E('div', { 'id': `cbi-${this.config}`, 'class': 'cbi-map' });
		dom.bindClassInstance(this.root, this);
		return Promise.all(this.children.map(section => section.render())).then(nodes => {
			dom.content(this.root, this.tabbed ? E('div', { 'class': 'cbi-map-tabbed' }, nodes) : nodes);
			this.checkDepends();
			for (const group of this.root.querySelectorAll('.cbi-map-tabbed, .cbi-section-node-tabbed'))
				ui.tabs.initTabGroup(Array.from(group.children));
			return this.root;
		});
	}
});

const Section = Element.extend({
	__init__(map, type, ...args) {
		Element.prototype.__init__.apply(this, args);
		Object.assign(this, { map, sectiontype: type, config: map.config });
	},

	tab(name, title, description) {
		(this.tabs ??= []).push({ name, title, description });
	},

	option(kind, ...args) { return this.append(kind.instantiate([ this.map, this, ...args ])); },
	taboption(tab, ...args) { return Object.assign(this.option(...args), { tab }); },

	load() {
		return Promise.all(this.cfgsections().flatMap(sid => this.children.map(option =>
			Promise.resolve(option.load(sid)).then(value => option.cfgvalue(sid, value)))));
	},

	parse() { return Promise.all(this.cfgsections().flatMap(sid => this.children.map(option => option.parse(sid)))); },

	checkDepends() {
		for (const sid of this.cfgsections())
			for (const option of this.children) {
				option.setActive(sid, option.checkDepends(sid));
				if (option.isActive(sid))
					option.getUIElement(sid)?.triggerValidation();
			}
	},

	// The options, in their tabs if there are any.
	renderUCISection(sid) {
		const render = tab => Promise.all(this.children.filter(option => !tab || option.tab == tab.name).map(option => option.render(sid)));
		if (!this.tabs)
			return render(null);
		return Promise.all(this.tabs.map(tab => render(tab).then(nodes => E('div', { 'data-tab': tab.name, 'data-tab-title': tab.title }, [
			tab.description ? E('div', { 'class': 'cbi-tab-descr' }, tab.description) : null,
			...nodes
		]))));
	},

	frame(kind, content) {
		const node = E('div', {
			'id': `cbi-${this.config}-${this.sectiontype}`, 'class': `cbi-section ${kind}`,
			'data-tab': this.map.tabbed ? this.sectiontype : null, 'data-tab-title': this.map.tabbed ? this.title || this.sectiontype : null
		}, [
			this.title && !this.hidetitle ? E('h3', {}, this.title) : null,
			this.description ? E('div', { 'class': 'cbi-section-descr' }, this.description) : null,
			...content
		]);
		dom.bindClassInstance(node, this);
		return node;
	}
});

const NamedSection = Section.extend({
	__init__(map, sid, ...args) {
		Section.prototype.__init__.call(this, map, ...args);
		this.section = sid;
	},

	cfgsections() { return [ this.section ]; },

	// A section that the file does not have shows nothing.
	renderContents([ held, nodes ]) {
		return this.frame('', held ? [ E('div', {
			'id': `cbi-${this.config}-${this.section}`, 'class': this.tabs ? 'cbi-section-node cbi-section-node-tabbed' : 'cbi-section-node',
			'data-section-id': this.section
		}, nodes) ] : []);
	},

	render() {
		return Promise.all([ this.map.data.get(this.config, this.section), this.renderUCISection(this.section) ]).then(parts => this.renderContents(parts));
	}
});

const GridSection = Section.extend({
	cfgsections() { return this.map.data.sections(this.config, this.sectiontype).map(section => section['.name']); },

	columns() { return this.children.filter(option => !option.modalonly); },

	// Nothing can be entered in the rows.
	parse() { return Promise.resolve(); },
	checkDepends() {},

	render() {
		const header = E('tr', { 'class': 'tr cbi-section-table-titles named', 'click': this.sortable ? ui.createHandlerFn(this, 'handleSort') : null }, [
			E('th', { 'class': 'th cbi-section-table-cell' }, [ _('Name') ]),
			...this.columns().map(option => E('th', { 'class': 'th cbi-section-table-cell' }, option.title)),
			E('th', { 'class': 'th cbi-section-table-cell cbi-section-actions' }, this.actionstitle)
		]);
		const rows = this.cfgsections().map(sid => E('tr', {
			'id': `cbi-${this.config}-${sid}`, 'class': 'tr cbi-section-table-row', 'data-sid': sid, 'data-section-id': sid,
			'dragover': ev => this.handleDragOver(ev), 'drop': ev => this.handleDrop(ev), 'touchend': ev => this.handleTouchEnd(ev)
		}, [
			E('td', { 'class': 'td cbi-value-field cbi-section-table-titles' }, [ this.titleFn('sectiontitle', sid) ?? sid ]),
			...this.columns().map(option => E('td', { 'class': 'td cbi-value-field', 'data-title': option.title, 'data-name': option.option },
				option.textvalue(sid) ?? E('em', {}, [ _('none') ]))),
			this.renderRowActions(sid)
		]));
		return this.frame('cbi-tblsection', [
			E('table', { 'class': 'table cbi-section-table' }, [
				E('thead', { 'class': 'thead' }, [ header ]),
				E('tbody', { 'class': 'tbody' }, rows.length ? rows : [ E('tr', { 'class': 'tr placeholder' }, [
					E('td', { 'class': 'td', 'colspan': this.columns().length + 2 }, [ this.renderSectionPlaceholder() ])
				]) ])
			]),
			this.renderSectionAdd('cbi-tblsection-create')
		]);
	},

	renderSectionPlaceholder() { return E('em', {}, [ _('This section contains no values yet') ]); },

	renderRowActions(sid) {
		const button = (kind, label, handler, disabled) => E('button', {
			'title': label, 'class': `btn cbi-button cbi-button-${kind}`, 'click': ui.createHandlerFn(this, handler, sid), 'disabled': disabled || null
		}, [ label ]);
		return E('td', { 'class': 'td cbi-section-table-cell nowrap cbi-section-actions' }, [ E('div', {}, [
			this.sortable ? E('button', {
				'title': _('Drag to reorder'), 'class': 'cbi-button drag-handle center', 'draggable': true, 'dragstart': ev => this.handleDragStart(ev)
			}, [ '☰' ]) : null,
			button('edit', _('Edit'), 'renderMoreOptionsModal'),
			this.addremove ? button('remove', _('Delete'), 'handleRemove', this.map.readonly) : null
		]) ]);
	},

	renderSectionAdd(kind) {
		const name = E('input', { 'type': 'text', 'class': 'cbi-section-create-name', 'disabled': this.map.readonly || null });
		const button = E('button', {
			'class': 'cbi-button cbi-button-add', 'title': this.titleFn('addbtntitle') ?? _('Add'), 'disabled': true,
			'click': ui.createHandlerFn(this, ev => name.classList.contains('cbi-input-invalid') ? null : this.handleAdd(ev, name.value))
		}, [ this.titleFn('addbtntitle') ?? _('Add') ]);
		if (!this.map.readonly)
			inputs.addValidator(name, value => {
				button.disabled = value == '';
				return value == '' ? _('Expecting: %s').format(_('non-empty value')) : /^\w+$/.test(value) || _('Expecting: %s').format(_('valid UCI identifier'));
			}, 'blur', 'keyup');
		return E('div', { 'class': `cbi-section-create ${kind}` }, [ E('div', {}, [ name ]), button ]);
	},

	handleAdd(ev, name) {
		this.map.addedSection = this.map.data.add(this.config, this.sectiontype, name);
		return this.renderMoreOptionsModal(this.map.addedSection);
	},

	handleRemove(sid) {
		this.map.data.remove(this.config, sid);
		return this.map.save(null, true);
	},

	// By the handle alone; the row comes before the one that it is dropped on, or after it from its lower half on.
	handleDragStart(ev) {
		this.dragged = ev.target.closest('tr');
		ev.dataTransfer.setData('text', 'drag');
	},

	handleDragOver(ev) {
		if (this.dragged)
			ev.preventDefault();
	},

	handleDrop(ev) {
		const row = ev.currentTarget;
		const box = row.getBoundingClientRect();
		const after = ev.clientY > box.top + box.height / 2;
		if (!this.dragged)
			return;
		row.parentNode.insertBefore(this.dragged, after ? row.nextElementSibling : row);
		this.map.data.move(this.config, this.dragged.dataset.sid, row.dataset.sid, after);
		this.dragged = null;
		ev.preventDefault();
	},

	handleTouchEnd() {},

	// Sorting by a column changes the order in the file as well; a page that does not want that puts null here.
	handleSort() { throw new Error('not in this stand-in'); },

	addModalOptions() {},

	renderMoreOptionsModal(sid) {
		const map = new FormMap(this.config);
		const section = map.section(NamedSection, sid, this.sectiontype);
		Object.assign(map, { parent: this.map, section: sid, readonly: this.map.readonly });
		section.tabs = this.tabs?.slice();
		for (const option of this.children) {
			// In a grid alone.
			if (option.modalonly === false)
				continue;
			const clone = section.option(option.constructor, option.option, option.title, option.description);
			for (const key of Object.keys(option))
				if (![ 'map', 'section', 'option', 'title', 'description' ].includes(key))
					clone[key] = option[key];
		}
		return Promise.resolve(this.addModalOptions(section, sid))
			.then(() => map.render())
			.then(node => ui.showModal(this.titleFn('modaltitle', sid) ?? sid, [
				node,
				E('div', { 'class': 'button-row' }, [
					E('button', { 'class': 'btn cbi-button', 'click': ui.createHandlerFn(this, 'handleModalCancel', map) }, [ _('Dismiss') ]), ' ',
					E('button', {
						'class': 'btn cbi-button cbi-button-positive important', 'click': ui.createHandlerFn(this, 'handleModalSave', map), 'disabled': map.readonly || null
					}, [ _('Save') ])
				])
			], 'cbi-modal'))
			.catch(L.error);
	},

	handleModalCancel(map, ev, saving) {
		if (this.map.addedSection != null && !saving)
			this.map.data.remove(this.config, this.map.addedSection);
		delete this.map.addedSection;
		ui.hideModal();
	},

	handleModalSave(map, ev) {
		return map.save(null, true)
			.then(() => this.map.load())
			.then(() => this.map.reset())
			.then(() => this.handleModalCancel(map, ev, true))
			.catch(() => {});
	}
});

const AbstractValue = Element.extend({
	__init__(map, section, option, ...args) {
		Element.prototype.__init__.apply(this, args);
		Object.assign(this, { map, section, option, config: map.config, rmempty: true, optional: false, default: null, deps: [] });
	},

	// Shown while one of the things that it depends on holds.
	depends(field, value) { this.deps.push(typeof(field) == 'string' ? { [field]: value } : field); },

	checkDepends(sid) {
		const holds = (name, value) => {
			const other = this.section.children.find(option => option.option == name);
			return other?.isActive(sid) && other.formvalue(sid) == value;
		};
		return !this.deps.length || this.deps.some(all => Object.keys(all).every(name => holds(name, all[name])));
	},

	cbid(sid) { return `cbid.${this.config}.${sid}.${this.option}`; },
	load(sid) { return this.map.data.get(this.config, sid, this.option); },

	cfgvalue(sid, ...value) {
		if (value.length)
			this.data = { ...this.data, [sid]: value[0] };
		return this.data?.[sid];
	},

	getUIElement(sid) {
		const node = this.map.root ? this.map.findElement('id', this.cbid(sid)) : null;
		return node ? dom.findClassInstance(node) : null;
	},

	formvalue(sid) { return this.getUIElement(sid)?.getValue() ?? null; },
	textvalue(sid) { return L.toArray(this.cfgvalue(sid) ?? this.default).length ? '%h'.format([ this.cfgvalue(sid) ?? this.default ].flat().join(' ')) : null; },
	validate() { return true; },
	field(sid) { return this.map.findElement('data-field', this.cbid(sid)); },
	isActive(sid) { return this.field(sid)?.classList.contains('hidden') === false; },
	setActive(sid, active) { this.field(sid)?.classList.toggle('hidden', !active); },
	isValid(sid) { return this.getUIElement(sid)?.isValid() ?? true; },

	refuse(sid) {
		const title = this.stripTags(this.title).trim() || this.option;
		return Promise.reject(new TypeError(`${_('Option "%s" contains an invalid input value.').format(title)} ${this.getUIElement(sid).getValidationError()}`));
	},

	parse(sid) {
		if (!this.isActive(sid))
			return Promise.resolve(this.remove(sid));
		if (!this.isValid(sid))
			return this.refuse(sid);
		const value = this.formvalue(sid);
		if (value == null || value == '' || (value == this.default && (this.optional || this.rmempty))) {
			if (!this.rmempty && !this.optional)
				return Promise.reject(new TypeError(_('Option "%s" must not be empty.').format(this.title || this.option)));
			return Promise.resolve(this.remove(sid));
		}
		return Promise.resolve(same(this.cfgvalue(sid), value) ? null : this.write(sid, value));
	},

	write(sid, value) { this.map.data.set(this.config, sid, this.option, value); },
	remove(sid) { this.map.data.unset(this.config, sid, this.option); },

	value(key, label) {
		(this.keylist ??= []).push(String(key));
		(this.vallist ??= []).push(dom.elem(label) ? label : String(label ?? key));
	},

	choices() { return this.keylist?.length ? Object.fromEntries(this.keylist.map((key, i) => [ key, this.vallist[i] ])) : null; },

	settings(sid) {
		return {
			id: this.cbid(sid), optional: this.optional || this.rmempty, placeholder: this.placeholder, sort: this.keylist,
			validate: value => this.validate(sid, value), disabled: this.readonly ?? this.map.readonly
		};
	},

	render(sid) {
		return Promise.resolve(this.renderWidget(sid, 0, this.cfgvalue(sid))).then(widget => {
			const node = E('div', {
				'class': 'cbi-value', 'id': `cbi-${this.config}-${sid}-${this.option}`, 'data-field': this.cbid(sid), 'data-name': this.option
			}, [
				E('label', { 'class': 'cbi-value-title', 'for': `widget.${this.cbid(sid)}` }, this.title),
				E('div', { 'class': 'cbi-value-field' }, [ widget, this.description ? E('div', { 'class': 'cbi-value-description' }, this.description) : null ])
			]);
			node.addEventListener('widget-change', ev => {
				this.map.checkDepends();
				this.onchange?.(ev, sid, this.formvalue(sid));
			});
			dom.bindClassInstance(node, this);
			return node;
		});
	}
});

const Value = AbstractValue.extend({
	renderWidget(sid, index, value) { return new inputs.Textfield(value ?? this.default, null, this.settings(sid)).render(); }
});

const ListValue = Value.extend({
	renderWidget(sid, index, value) {
		return new inputs.Select(value ?? this.default, this.choices() ?? {}, { ...this.settings(sid), optional: this.optional, sort: this.keylist ?? [] }).render();
	}
});

const DynamicList = Value.extend({
	renderWidget(sid, index, value) { return new inputs.DynamicList(L.toArray(value ?? this.default), this.choices(), this.settings(sid)).render(); }
});

// Unlike the others it is written even if it is as it was.
const Flag = Value.extend({
	__init__(...args) {
		Value.prototype.__init__.apply(this, args);
		Object.assign(this, { enabled: '1', disabled: '0', default: '0' });
	},

	renderWidget(sid, index, value) {
		return new inputs.Checkbox(value ?? this.default, null, { ...this.settings(sid), value_enabled: this.enabled, value_disabled: this.disabled }).render();
	},

	textvalue(sid) { return (this.cfgvalue(sid) ?? this.default) == this.enabled ? _('Yes') : _('No'); },

	parse(sid) {
		if (!this.isActive(sid))
			return Promise.resolve(this.remove(sid));
		if (!this.isValid(sid))
			return this.refuse(sid);
		const value = this.formvalue(sid);
		return Promise.resolve(value == this.default && (this.optional || this.rmempty) ? this.remove(sid) : this.write(sid, value));
	}
});

return baseclass.extend({ Map: FormMap, GridSection, NamedSection, Value, ListValue, DynamicList, Flag });
