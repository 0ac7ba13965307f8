'use strict';
'require rpc';
'require baseclass';

// LuCI's uci module: configurations as they would be with the changes made here, which save() hands to rpcd in one go. Two habits of the
// original matter and are kept: what is staged by save() is read back, and an order is forgotten where anything is deleted with it.

const declare = (method, params, more) => rpc.declare({ object: 'uci', method, params, reject: true, ...more });
const calls = {
	get: declare('get', [ 'config' ], { expect: { values: {} } }),
	add: declare('add', [ 'config', 'type', 'name', 'values' ], { expect: { section: '' } }),
	set: declare('set', [ 'config', 'section', 'values' ]),
	delete: declare('delete', [ 'config', 'section', 'options' ]),
	order: declare('order', [ 'config', 'sections' ])
};

return baseclass.extend({
	__init__() {
		this.state = { newidx: 0, values: {}, creates: {}, changes: {}, deletes: {}, reorder: {} };
		this.loaded = {};
	},

	changes: rpc.declare({ object: 'uci', method: 'changes', expect: { changes: {} } }),

	loadPackage(conf) {
		return this.loaded[conf] ??= calls.get(conf);
	},

	load(packages) {
		const wanted = [ packages ].flat().filter(conf => !this.state.values[conf]);
		return Promise.all(wanted.map(conf => this.loadPackage(conf))).then(all => {
			wanted.forEach((conf, i) => { this.state.values[conf] = all[i]; });
			if (wanted.length)
				document.dispatchEvent(new CustomEvent('uci-loaded'));
			return wanted;
		});
	},

	unload(packages) {
		for (const conf of [ packages ].flat()) {
			for (const part of [ 'values', 'creates', 'changes', 'deletes' ])
				delete this.state[part][conf];
			delete this.loaded[conf];
		}
	},

	add(conf, type, name) {
		const sid = name ?? `new${Math.random().toString(16).slice(2, 8)}`;
		(this.state.creates[conf] ??= {})[sid] = {
			'.type': type, '.name': sid, '.create': name, '.anonymous': !name, '.index': 1000 + this.state.newidx++
		};
		return sid;
	},

	remove(conf, sid) {
		if (this.state.creates[conf]?.[sid])
			delete this.state.creates[conf][sid];
		else if (this.state.values[conf]?.[sid]) {
			delete this.state.changes[conf]?.[sid];
			(this.state.deletes[conf] ??= {})[sid] = true;
		}
	},

	sections(conf, type, callback) {
		const { values, creates, changes, deletes } = this.state;
		if (!values[conf])
			return [];
		const kept = Object.keys(values[conf]).filter(sid => deletes[conf]?.[sid] !== true).map(sid => ({ ...values[conf][sid], ...changes[conf]?.[sid] }));
		const all = kept.concat(Object.values(creates[conf] ?? {}).map(section => ({ ...section }))).filter(section => !type || section['.type'] == type);
		all.sort((a, b) => a['.index'] - b['.index']);
		all.forEach((section, index) => { section['.index'] = index; });
		if (callback)
			all.forEach(section => callback.call(this, section, section['.name']));
		return all;
	},

	get(conf, sid, option) {
		const { values, creates, changes, deletes } = this.state;
		if (sid == null)
			return null;
		const created = creates[conf]?.[sid];
		if (created)
			return option == null ? created : created[option];
		const deleted = deletes[conf]?.[sid];
		const section = deleted === true ? null : values[conf]?.[sid];
		if (!section)
			return null;
		if (option != null)
			return deleted?.[option] ? null : changes[conf]?.[sid]?.[option] ?? section[option];
		Object.assign(section, changes[conf]?.[sid]);
		Object.keys(deleted ?? {}).forEach(name => delete section[name]);
		return section;
	},

	set(conf, sid, option, value) {
		const { values, creates, changes, deletes } = this.state;
		const forget = part => {
			if (part[conf]?.[sid]) {
				delete part[conf][sid][option];
				if (!Object.keys(part[conf][sid]).length)
					delete part[conf][sid];
			}
		};
		if (sid == null || option == null || option.startsWith('.'))
			return;
		if (creates[conf]?.[sid]) {
			if (value != null)
				creates[conf][sid][option] = value;
			else
				delete creates[conf][sid][option];
		}
		else if (value != null && value !== '') {
			if (deletes[conf]?.[sid] === true || !values[conf]?.[sid])
				return;
			forget(deletes);
			((changes[conf] ??= {})[sid] ??= {})[option] = value;
		}
		else {
			forget(changes);
			if (values[conf]?.[sid] && option in values[conf][sid] && deletes[conf]?.[sid] !== true)
				((deletes[conf] ??= {})[sid] ??= {})[option] = true;
		}
	},

	unset(conf, sid, option) {
		return this.set(conf, sid, option, null);
	},

	move(conf, sid, other, after) {
		const order = this.sections(conf).map(section => section['.name']);
		if (sid == other || !order.includes(sid) || (other != null && !order.includes(other)))
			return false;
		order.splice(order.indexOf(sid), 1);
		order.splice(other != null ? order.indexOf(other) + !!after : order.length, 0, sid);
		order.forEach((name, index) => { this.get(conf, name)['.index'] = index; });
		return this.state.reorder[conf] = true;
	},

	save() {
		const { creates, changes, deletes, reorder } = this.state;
		const touched = new Set([ deletes, creates, changes, reorder ].flatMap(part => Object.keys(part)));
		const plain = section => Object.fromEntries(Object.entries(section).filter(([ name ]) => !name.startsWith('.')));
		const tasks = [];
		for (const conf in deletes)
			for (const sid in deletes[conf])
				tasks.push(calls.delete(conf, sid, deletes[conf][sid] === true ? null : Object.keys(deletes[conf][sid])));
		for (const conf in creates)
			for (const section of Object.values(creates[conf]))
				tasks.push(calls.add(conf, section['.type'], section['.create'], plain(section)).then(name => { section['.name'] = name; }));
		for (const conf in changes)
			for (const sid in changes[conf])
				tasks.push(calls.set(conf, sid, changes[conf][sid]));

		return Promise.all(tasks).then(() => Promise.all(Object.keys(reorder).filter(conf => !deletes[conf]).map(conf => {
			const all = [ ...Object.values(creates[conf] ?? {}), ...Object.values(this.state.values[conf] ?? {}) ];
			return calls.order(conf, all.sort((a, b) => a['.index'] - b['.index']).map(section => section['.name']));
		}))).then(() => {
			this.state.reorder = {};
			this.unload([ ...touched ]);
			return this.load([ ...touched ]);
		});
	}
});
