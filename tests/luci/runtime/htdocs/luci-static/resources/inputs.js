'use strict';
'require baseclass';
'require dom';

// The input elements of LuCI's ui module, as far as the pages' forms have them: the same nodes, classes and values. Of their ways of being
// operated there is the mouse's, typing, and the keys that lists know.

// Judges what is in a field now and at each of the events; the field shows it, and those above it hear of it.
function addValidator(field, judge, ...events) {
	const validate = () => {
		if (!field.closest('body, [data-field]'))
			return true;
		const answer = judge(field.value ?? '');
		const fine = answer === true;
		field.classList.toggle('cbi-input-invalid', !fine);
		for (const [ name, value ] of [ [ 'data-tooltip', answer ], [ 'data-tooltip-style', 'error' ] ])
			fine ? field.removeAttribute(name) : field.setAttribute(name, value);
		field.dispatchEvent(new CustomEvent(fine ? 'validation-success' : 'validation-failure', { bubbles: true, detail: { message: answer } }));
		return fine;
	};
	for (const event of events)
		field.addEventListener(event, validate);
	validate();
	return validate;
}

const Input = baseclass.extend({
	__init__(value, choices, options) {
		Object.assign(this, { value, choices, options });
	},

	bind(node, field, ...events) {
		this.node = node;
		if (this.options.validate)
			this.vfunc = addValidator(field, this.options.validate, ...events);
		node.addEventListener('validation-success', () => { this.validState = true; });
		node.addEventListener('validation-failure', ev => { this.validState = false; this.validationError = ev.detail.message; });
		dom.bindClassInstance(node, this);
		return node;
	},

	// Those that depend on it look again.
	changes(field, ...events) {
		for (const event of events)
			field.addEventListener(event, () => this.node.dispatchEvent(new CustomEvent('widget-change', { bubbles: true })));
	},

	isValid() { return this.validState !== false; },
	getValidationError() { return this.validationError ?? ''; },
	triggerValidation() { this.vfunc?.(); }
});

const Textfield = Input.extend({
	render() {
		const input = E('input', {
			'id': `widget.${this.options.id}`, 'type': 'text', 'class': 'cbi-input-text', 'value': this.value,
			'placeholder': this.options.placeholder, 'disabled': this.options.disabled ? '' : null
		});
		return this.bind(E('div', { 'id': this.options.id }, [ input ]), input, 'keyup', 'blur');
	},

	getValue() { return this.node.querySelector('input').value; }
});

const Checkbox = Input.extend({
	render() {
		const input = E('input', {
			'type': 'checkbox', 'checked': this.value == this.options.value_enabled ? '' : null, 'disabled': this.options.disabled ? '' : null,
			'data-widget-id': `widget.${this.options.id}`
		});
		return this.bind(E('div', { 'id': this.options.id, 'class': 'cbi-checkbox' }, [ input ]), input, 'click', 'blur');
	},

	isChecked() { return this.node.querySelector('input').checked; },
	getValue() { return this.isChecked() ? this.options.value_enabled : this.options.value_disabled; }
});

const Select = Input.extend({
	render() {
		const values = [ this.value ].flat();
		const option = (value, label) => E('option', { value, 'selected': values.includes(value) ? '' : null }, [ label ]);
		const select = E('select', { 'id': `widget.${this.options.id}`, 'class': 'cbi-input-select', 'disabled': this.options.disabled ? '' : null }, [
			this.options.optional ? option('', this.choices[''] ?? this.options.placeholder ?? _('-- Please choose --')) : null,
			...this.options.sort.filter(key => key != '').map(key => option(key, this.choices[key] ?? key))
		]);
		this.changes(select, 'change');
		return this.bind(E('div', { 'id': this.options.id }, [ select ]), select, 'change', 'blur');
	},

	getValue() { return this.node.firstChild.value; }
});

// A list that opens with a click. With 'create' its last line takes what is typed.
const Dropdown = Input.extend({
	render() {
		const { id, disabled, create, sort, placeholder } = this.options;
		const keys = Array.isArray(sort) ? sort.slice() : Object.keys(this.choices).sort(L.naturalCompare);
		if ('' in this.choices && !keys.includes(''))
			keys.unshift('');
		const list = E('ul', {}, [
			'' in this.choices ? null : E('li', { 'placeholder': '' }, [ placeholder ?? _('-- Please choose --') ]),
			...keys.map(key => this.item(key, this.choices[key]?.cloneNode?.(true) ?? this.choices[key]))
		]);
		const node = E('div', { id, 'class': 'cbi-dropdown', 'tabindex': 0, 'disabled': disabled ? '' : null, 'click': ev => this.clicked(ev) }, [ list ]);
		if (create) {
			const input = E('input', { 'type': 'text', 'class': 'create-item-input', 'placeholder': _('-- custom --'), 'keydown': ev => this.typed(ev) });
			list.append(E('li', { 'data-value': '-', 'unselectable': '' }, [ input ]));
			if (this.options.validate)
				addValidator(input, this.options.validate, 'blur', 'keyup');
		}
		this.node = node;
		this.select(Array.from(list.children).find(item => item.dataset.value == this.value) ?? list.firstElementChild);
		return this.bind(node, node, 'cbi-dropdown-close');
	},

	item(value, label) {
		return E('li', { 'data-value': value }, [ label ?? value ]);
	},

	select(item) {
		this.node.querySelector('li[selected]')?.removeAttribute('selected');
		item.setAttribute('selected', '');
		this.node.value = item.dataset.value ?? '';
		this.node.dispatchEvent(new CustomEvent('cbi-dropdown-change', { bubbles: true, detail: { instance: this, element: this.node, value: item } }));
	},

	clicked(ev) {
		const item = ev.target.closest('li');
		if (this.options.disabled || ev.target.matches('input'))
			return;
		if (this.node.hasAttribute('open') && item) {
			this.select(item);
			this.node.removeAttribute('open');
			this.node.dispatchEvent(new CustomEvent('cbi-dropdown-close'));
		}
		else
			this.node.toggleAttribute('open');
	},

	typed(ev) {
		const { value, classList, parentNode } = ev.currentTarget;
		if (ev.key != 'Enter' || value == '' || classList.contains('cbi-input-invalid'))
			return;
		const item = this.item(value);
		parentNode.before(item);
		this.select(item);
		this.node.removeAttribute('open');
		ev.currentTarget.value = '';
	},

	getValue() { return this.node.querySelector('li[selected]:not([placeholder])')?.dataset.value; }
});

const DynamicList = Input.extend({
	render() {
		const { id, placeholder, disabled, validate } = this.options;
		const add = E('div', { 'class': 'add-item control-group' });
		const node = E('div', { id, 'class': 'cbi-dynlist', 'disabled': disabled ? '' : null }, [ add ]);
		this.node = node;
		if (this.choices)
			add.append(new Dropdown(null, this.choices, { ...this.options, create: true }).render());
		else {
			const input = E('input', { 'id': `widget.${id}`, 'type': 'text', 'class': 'cbi-input-text', placeholder, 'disabled': disabled ? '' : null });
			add.append(input, E('div', { 'class': 'btn cbi-button cbi-button-add', 'click': () => this.take(input) }, [ '+' ]));
			input.addEventListener('keydown', ev => { if (ev.key == 'Enter') this.take(input); });
			if (validate)
				addValidator(input, validate, 'blur', 'keyup');
		}
		[ this.value ?? [] ].flat().forEach(value => this.addItem(value));
		node.addEventListener('keydown', ev => {
			const item = ev.target.closest('.item');
			if (item && !disabled && [ 'Delete', 'Backspace' ].includes(ev.key)) {
				item.remove();
				this.changed();
			}
		});
		node.addEventListener('cbi-dropdown-change', ev => {
			const chosen = ev.detail.value;
			if (chosen.hasAttribute('placeholder'))
				return;
			this.addItem(chosen.dataset.value);
			ev.detail.instance.select(chosen.parentNode.firstElementChild);
		});
		return this.bind(node, node, 'cbi-dynlist-change');
	},

	take(input) {
		if (input.value != '' && !input.classList.contains('cbi-input-invalid')) {
			this.addItem(input.value);
			input.value = '';
		}
	},

	addItem(value) {
		if (!this.items().includes(value))
			this.node.querySelector('.add-item').before(E('div', { 'class': 'item', 'tabindex': 0 }, [
				E('span', {}, [ value ]), E('input', { 'type': 'hidden', value })
			]));
		this.changed();
	},

	changed() { this.node.dispatchEvent(new CustomEvent('cbi-dynlist-change', { bubbles: true })); },

	items() { return Array.from(this.node.querySelectorAll('.item > input[type="hidden"]'), input => input.value); },

	// What is typed counts, if it is fit to.
	getValue() {
		const items = this.items();
		const typed = this.node.querySelector('.add-item > input[type="text"]');
		return typed && /\S/.test(typed.value) && !typed.classList.contains('cbi-input-invalid') && !items.includes(typed.value) ? items.concat(typed.value) : items;
	}
});

return baseclass.extend({ addValidator, Textfield, Checkbox, Select, Dropdown, DynamicList });
