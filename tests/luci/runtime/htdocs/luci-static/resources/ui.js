'use strict';
'require baseclass';
'require dom';
'require request';
'require session';

// LuCI's ui module: notifications, the modal, indicators, handlers, lists of facts, tooltips, tabs, "save & apply", and the start of a page's
// view. Its input elements are in inputs.js.

// A bar of tabs above panes; the theme hides the panes that are not active. Which one was, is remembered for the session.
const tabs = {
	initTabGroup(panes) {
		const group = panes[0]?.parentNode;
		if (!panes[0]?.hasAttribute('data-tab') || group.hasAttribute('data-initialized'))
			return;
		const place = panes.map(pane => pane.parentNode.closest('[data-section-id]')?.dataset.sectionId).join() + panes.map(pane => pane.dataset.tab).join();
		const show = name => {
			panes.forEach(pane => pane.setAttribute('data-tab-active', pane.dataset.tab == name));
			for (const tab of menu.children)
				tab.className = tab.dataset.tab == name ? 'cbi-tab' : 'cbi-tab-disabled';
			session.setLocalData(place, name);
		};
		const menu = E('ul', { 'class': 'cbi-tabmenu' }, panes.map(pane => E('li', { 'data-tab': pane.dataset.tab }, [
			E('a', { 'href': '#', 'click': ev => { ev.preventDefault(); show(pane.dataset.tab); } }, [ pane.dataset.tabTitle ])
		])));
		group.before(menu);
		group.setAttribute('data-initialized', true);
		show(panes.find(pane => pane.dataset.tab == session.getLocalData(place))?.dataset.tab ?? panes[0].dataset.tab);
	}
};

// What is staged, counted; and its way into the files, confirmed by a page that still gets through.
const changes = {
	init() {
		document.addEventListener('uci-loaded', () => L.require('uci').then(uci => uci.changes()).then(all => this.setIndicator(Object.values(all).flat().length)));
	},

	setIndicator(count) {
		if (count)
			ui().showIndicator('uci-changes', `${_('Unsaved Changes')}: ${count}`);
		else
			ui().hideIndicator('uci-changes');
	},

	displayStatus(text) {
		ui().showModal('', [ E('p', {}, [ text ]) ]).classList.add('alert-message', 'notice');
	},

	post(what, query) {
		return request.request(L.url('admin/uci', what), { method: 'post', query });
	},

	apply(checked) {
		const done = (text, then) => {
			this.displayStatus(text);
			window.setTimeout(then, L.env.apply_display * 1000);
		};
		this.displayStatus(_('Starting configuration apply…'));
		this.post(checked ? 'apply_rollback' : 'apply_unchecked', { sid: L.env.sessionid, token: L.env.token }).then(reply => {
			if (reply.status == 204 && checked)
				return done(_('There are no changes to apply'), () => ui().hideModal());
			if (reply.status != (checked ? 200 : 204))
				return done(_('Apply request failed with status %s').format(reply.status), () => ui().hideModal());
			this.displayStatus(_('Applying configuration changes…'));
			window.setTimeout(() => this.post('confirm', { token: checked ? reply.json().token : L.env.token }).then(() => {
				document.dispatchEvent(new CustomEvent('uci-applied'));
				this.setIndicator(0);
				done(_('Configuration changes applied.'), () => window.location.reload());
			}), L.env.apply_holdoff * 1000);
		});
	}
};

const ui = () => Object.getPrototypeOf(L).ui;

const overlay = document.body.appendChild(E('div', { 'id': 'modal_overlay', 'tabindex': -1 }, [
	E('div', { 'class': 'modal', 'role': 'dialog', 'aria-modal': true })
]));
const tooltip = document.body.appendChild(E('div', { 'class': 'cbi-tooltip' }));

return baseclass.extend({
	changes,
	tabs,

	__init__() {
		changes.init();
		overlay.addEventListener('keydown', ev => {
			if (ev.key == 'Escape')
				overlay.querySelector('.right > button, .right > .btn, .button-row > .btn')?.click();
		});
		for (const type of [ 'mouseover', 'focus' ])
			document.addEventListener(type, ev => this.showTooltip(ev), true);
		for (const type of [ 'mouseout', 'blur' ])
			document.addEventListener(type, ev => this.hideTooltip(ev), true);
		Object.assign(Object.getPrototypeOf(L), { showModal: this.showModal, hideModal: this.hideModal, itemlist: this.itemlist });
	},

	showModal(title, children, ...styles) {
		const dialog = overlay.firstElementChild;
		dialog.className = 'modal';
		dialog.classList.add(...styles);
		dom.content(dialog, E('h4', {}, title));
		dom.append(dialog, children);
		document.body.classList.add('modal-overlay-active');
		overlay.scrollTop = 0;
		overlay.focus();
		return dialog;
	},

	hideModal() {
		document.body.classList.remove('modal-overlay-active');
		overlay.blur();
	},

	addNotification(title, children, ...styles) {
		const place = document.querySelector('#maincontent') ?? document.body;
		const text = E('div', { 'style': 'flex:10' });
		const message = E('div', { 'class': 'alert-message fade-in', 'style': 'display:flex' }, [
			text,
			E('div', { 'style': 'flex:1 1 auto; display:flex' }, [
				E('button', { 'class': 'btn', 'style': 'margin-left:auto; margin-top:auto', 'click': () => message.remove() }, [ _('Dismiss') ])
			])
		]);
		if (title != null)
			dom.append(text, E('h4', {}, title));
		dom.append(text, children);
		message.classList.add(...styles);
		place.insertBefore(message, place.firstElementChild);
		return message;
	},

	addTimeLimitedNotification(title, children, timeout, ...styles) {
		const message = this.addNotification(title, children, ...styles);
		if (timeout > 0)
			window.setTimeout(() => message.remove(), timeout);
		return message;
	},

	showIndicator(id, label, handler, style) {
		const place = document.querySelector('#indicators');
		if (!place)
			return false;
		const click = typeof(handler) == 'function' ? handler : null;
		let indicator = place.querySelector(`span[data-indicator="${id}"]`);
		indicator ??= place.insertBefore(
			E('span', { 'data-indicator': id, 'data-clickable': click ? true : null, 'click': click }, [ '' ]),
			Array.from(place.children).find(other => other.getAttribute('data-indicator') > id) ?? null);
		if (indicator.textContent == label && indicator.getAttribute('data-style') == style)
			return false;
		indicator.textContent = label;
		indicator.setAttribute('data-style', style == 'inactive' ? 'inactive' : 'active');
		return true;
	},

	hideIndicator(id) {
		const indicator = document.querySelector(`#indicators span[data-indicator="${id}"]`);
		indicator?.remove();
		return indicator != null;
	},

	// Pairs of a label and a value; a value that is null is left out with its label.
	itemlist(node, items, separators) {
		const between = Array.isArray(separators) ? separators : [ separators ?? E('br') ];
		const children = [];
		for (let i = 0; i < items.length; i += 2) {
			if (items[i + 1] == null)
				continue;
			children.push(E('span', { 'class': 'nowrap' }, [ items[i] ? E('strong', [ `${items[i]}: ` ]) : '', items[i + 1] ]));
			if (i + 2 < items.length) {
				const separator = between[i / 2 % between.length];
				children.push(dom.elem(separator) ? separator.cloneNode(true) : separator);
			}
		}
		dom.content(node, children);
		return node;
	},

	showTooltip(ev) {
		const target = ev.target.closest?.('[data-tooltip]');
		if (!target)
			return;
		const box = target.getBoundingClientRect();
		tooltip.className = `cbi-tooltip ${target.getAttribute('data-tooltip-style') ?? ''}`;
		tooltip.textContent = `▲ ${target.getAttribute('data-tooltip')}`;
		Object.assign(tooltip.style, { top: `${box.bottom + window.scrollY}px`, left: `${box.left + window.scrollX}px`, opacity: 1 });
	},

	hideTooltip(ev) {
		if (ev.target !== tooltip && ev.relatedTarget !== tooltip)
			tooltip.removeAttribute('style');
	},

	// For 'click' and its kin: the button rests, and turns, until the work is done.
	createHandlerFn(self, fn, ...args) {
		const call = typeof(fn) == 'string' ? self[fn] : fn;
		if (typeof(call) != 'function')
			return null;
		return ev => {
			const button = ev.currentTarget;
			button.classList.add('spinning');
			button.disabled = true;
			button.blur?.();
			Promise.resolve(call.call(self, ...args, ev)).finally(() => {
				button.classList.remove('spinning');
				button.disabled = false;
			});
		};
	},

	instantiateView(path) {
		return L.require(`view.${path.replace(/\//g, '.')}`).then(view => {
			if (!(view instanceof L.view))
				throw new TypeError(`Loaded class ${path} is not a descendant of View`);
			return view;
		}).catch(error => {
			dom.content(document.querySelector('#view'), null);
			L.error(error);
		});
	}
});
