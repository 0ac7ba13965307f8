// The core of LuCI's client side by its documented API, as far as failoverd's pages use it: classes and 'require', requests that are
// sent in batches, polling, the DOM helpers, views, and the object L. The bridge serves it in place of luci.js; rpc.js and ui.js are
// beside it. What is not here the pages must not use.
'use strict';

(() => {
	const env = {};

	// Classes: extend, singleton, super. A method finds its namesake further up by the class that it was found in.
	const levels = new Map();

	const Class = Object.assign(function() {}, {
		extend(members) {
			const properties = {};
			for (const name of Object.keys(members))
				properties[name] = { value: members[name], writable: true };

			const constructor = function(...args) {
				if (typeof(this.__init__) == 'function')
					this.__init__(...args);
			};
			constructor.prototype = Object.create(this.prototype, properties);
			Object.defineProperty(constructor.prototype, 'constructor', { value: constructor });
			Object.assign(constructor, this);
			constructor.displayName = members.__name__ ?? 'AnonymousClass';
			return constructor;
		},

		singleton(members, ...args) {
			return new (Class.extend(members))(...args);
		},

		instantiate(args) {
			return new this(...args);
		},

		isSubclass(value) {
			return typeof(value) == 'function' && value.prototype instanceof this;
		}
	});

	Class.prototype = {
		varargs(args, offset, ...first) {
			return first.concat(Array.prototype.slice.call(args, offset));
		},

		super(name, ...args) {
			const running = levels.get(this)?.[name];
			let level = running ?? Object.getPrototypeOf(this);
			const below = () => { do level = Object.getPrototypeOf(level); while (level && !Object.hasOwn(level, name)); };
			if (!running)
				while (level && !Object.hasOwn(level, name))
					level = Object.getPrototypeOf(level);
			if (level)
				below();
			if (!level)
				return null;

			if (!args.length)
				return level[name];

			if (Array.isArray(args[0]) || Object.prototype.toString.call(args[0]) == '[object Arguments]')
				args = Array.from(args[0]);
			levels.set(this, { ...levels.get(this), [name]: level });
			try {
				return level[name].apply(this, args);
			}
			finally {
				levels.set(this, { ...levels.get(this), [name]: running });
			}
		},

		toString() {
			return `[${this.constructor.displayName}]`;
		}
	};

	// Requests. Calls to the RPC address wait for the next frame of the screen and go out together: so a hidden tab, which draws
	// nothing, sends none, as with LuCI itself.
	class Response {
		constructor(status, url, text, json) {
			Object.assign(this, { status, url, ok: status >= 200 && status <= 299, statusText: '', responseText: text, responseJSON: json });
		}

		json() { return this.responseJSON ??= JSON.parse(this.responseText); }
		text() { return this.responseText ??= JSON.stringify(this.responseJSON); }
	}

	const waiting = [];

	const Request = Class.singleton({
		__name__: 'LuCI.request',

		request(target, options = {}) {
			const url = target + (options.cache ? '' : `${target.includes('?') ? '&' : '?'}${Date.now()}`);
			const rpc = classes.rpc instanceof Class ? classes.rpc.getBaseURL() : null;

			if (rpc != null && options.method == 'POST' && typeof(options.content) == 'object' && !options.nobatch && target.startsWith(rpc))
				return new Promise((resolve, reject) => {
					waiting.push({ options, resolve, reject });
					requestAnimationFrame(() => this.flush(rpc));
				});

			return this.send(url, options);
		},

		flush(url) {
			const batch = waiting.splice(0);
			if (!batch.length)
				return;

			const options = { ...batch[0].options, content: batch.map(one => one.options.content), nobatch: true };
			this.request(url, options).then(reply => {
				let frames = null;
				try { frames = reply.json(); }
				catch { /* no frames */ }
				for (const one of batch)
					if (Array.isArray(frames) && frames.length)
						one.resolve(new Response(reply.status, reply.url, null, frames.shift()));
					else
						one.reject(new Error('No related RPC reply'));
			}, error => batch.forEach(one => one.reject(error)));
		},

		send(url, options) {
			return new Promise((resolve, reject) => {
				const xhr = new XMLHttpRequest();
				const query = Object.entries(options.query ?? {}).map(([ name, value ]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`).join('&');
				xhr.open((options.method ?? 'GET').toUpperCase(), query ? `${url}&${query}` : url);
				xhr.timeout = options.timeout ?? 0;
				xhr.onload = () => resolve(new Response(xhr.status, url, xhr.responseText, null));
				xhr.ontimeout = () => reject(new Error('XHR request timed out'));
				xhr.onerror = xhr.onabort = () => reject(new Error('XHR request aborted by browser'));
				let content = options.content ?? null;
				if (content != null && typeof(content) == 'object') {
					xhr.setRequestHeader('Content-Type', 'application/json');
					content = JSON.stringify(content);
				}
				xhr.send(content);
			});
		},

		get(url, options) { return this.request(url, { method: 'GET', ...options }); },
		post(url, content, options) { return this.request(url, { method: 'POST', content, ...options }); },

		poll: {
			start() { return Poll.start(); },
			stop() { return Poll.stop(); },
			active() { return Poll.active(); }
		}
	});

	// Polling: every second whoever is due and done with the last time. It knows nothing of hidden tabs.
	const Poll = Class.singleton({
		__name__: 'LuCI.poll',
		queue: [],

		add(fn, interval) {
			interval = interval > 0 ? interval : env.pollinterval;
			if (isNaN(interval) || typeof(fn) != 'function')
				throw new TypeError('Invalid argument to LuCI.poll.add()');
			if (this.queue.some(entry => entry.fn === fn))
				return false;
			this.queue.push({ fn, interval: interval >>> 0, ready: true });
			if (this.tick != null && !this.active())
				this.start();
			return true;
		},

		remove(fn) {
			const index = this.queue.findIndex(entry => entry.fn === fn);
			if (index >= 0)
				this.queue.splice(index, 1);
			if (!this.queue.length && this.stop())
				this.tick = 0;
			return index >= 0;
		},

		start() {
			if (this.active())
				return false;
			this.tick = 0;
			if (this.queue.length) {
				this.timer = window.setInterval(() => this.step(), 1000);
				this.step();
				document.dispatchEvent(new CustomEvent('poll-start'));
			}
			return true;
		},

		stop() {
			if (!this.active())
				return false;
			document.dispatchEvent(new CustomEvent('poll-stop'));
			window.clearInterval(this.timer);
			delete this.timer;
			delete this.tick;
			return true;
		},

		step() {
			for (const entry of this.queue.slice())
				if (this.tick % entry.interval == 0 && entry.ready) {
					entry.ready = false;
					Promise.resolve(entry.fn()).finally(() => { entry.ready = true; });
				}
			this.tick++;
		},

		active() { return this.timer != null; }
	});

	const DOM = Class.singleton({
		__name__: 'LuCI.dom',
		registry: new Map(),

		elem(it) { return it != null && typeof(it) == 'object' && 'nodeType' in it; },
		matches(node, selector) { return this.elem(node) && node.matches ? node.matches(selector) : false; },
		parent(node, selector) { return this.elem(node) && node.closest ? node.closest(selector) : null; },

		parse(html) {
			return new DOMParser().parseFromString(html, 'text/html').body.firstChild;
		},

		// A list becomes text and nodes; a single text is HTML. So it is in LuCI.
		append(node, children) {
			if (!this.elem(node))
				return null;
			if (Array.isArray(children)) {
				for (const child of children)
					if (this.elem(child))
						node.appendChild(child);
					else if (child != null)
						node.appendChild(document.createTextNode(`${child}`));
				return node.lastChild;
			}
			if (typeof(children) == 'function')
				return this.append(node, children(node));
			if (this.elem(children))
				return node.appendChild(children);
			if (children != null) {
				node.innerHTML = `${children}`;
				return node.lastChild;
			}
			return null;
		},

		content(node, children) {
			if (!this.elem(node))
				return null;
			for (const inner of node.querySelectorAll('[data-idref]'))
				this.registry.delete(inner.getAttribute('data-idref'));
			node.replaceChildren();
			return this.append(node, children);
		},

		attr(node, name, value) {
			if (!this.elem(node))
				return;
			const attributes = typeof(name) == 'string' ? { [name]: value } : name ?? {};
			for (const [ key, wanted ] of Object.entries(attributes)) {
				if (wanted == null)
					continue;
				if (typeof(wanted) == 'function')
					node.addEventListener(key, wanted);
				else
					node.setAttribute(key, typeof(wanted) == 'object' ? JSON.stringify(wanted) : wanted);
			}
		},

		create(what, attributes, children) {
			if (!(attributes instanceof Object) || Array.isArray(attributes) || this.elem(attributes))
				[ attributes, children ] = [ null, attributes ];

			let node;
			if (Array.isArray(what)) {
				node = document.createDocumentFragment();
				what.forEach(part => node.appendChild(this.create(part)));
			}
			else if (this.elem(what))
				node = what;
			else if (what.startsWith('<'))
				node = this.parse(what);
			else
				node = document.createElement(what);

			this.attr(node, attributes);
			this.append(node, children);
			return node;
		},

		data(node, key, value) {
			if (!node?.getAttribute)
				return null;
			let id = node.getAttribute('data-idref');
			if (arguments.length > 2 && value != null) {
				if (id == null) {
					id = Math.random().toString(16).slice(2);
					node.setAttribute('data-idref', id);
					this.registry.set(id, {});
				}
				return this.registry.get(id)[key] = value;
			}
			const data = id != null ? this.registry.get(id) : null;
			if (arguments.length > 2 && data) {
				const old = data[key];
				delete data[key];
				return old;
			}
			return (key == null ? data : data?.[key]) ?? null;
		},

		bindClassInstance(node, instance) { return this.data(node, '_class', instance); },

		findClassInstance(node) {
			for (; node != null; node = node.parentNode) {
				const instance = this.data(node, '_class');
				if (instance instanceof Class)
					return instance;
			}
			return null;
		},

		callClassMethod(node, method, ...args) {
			const instance = this.findClassInstance(node);
			return typeof(instance?.[method]) == 'function' ? instance[method](...args) : null;
		},

		isEmpty(node, ignore) {
			return !Array.from(node?.children ?? []).some(child => !child.classList.contains('hidden') && !ignore?.(child));
		}
	});

	const Session = Class.singleton({
		__name__: 'LuCI.session',
		getID() { return env.sessionid; },
		getToken() { return env.token; },

		getLocalData(key) {
			const data = JSON.parse(window.sessionStorage.getItem('luci-session-store'))?.[env.sessionid] ?? {};
			return key != null ? data[key] ?? null : data;
		},

		setLocalData(key, value) {
			const data = this.getLocalData();
			data[key] = value ?? undefined;
			window.sessionStorage.setItem('luci-session-store', JSON.stringify({ [env.sessionid]: data }));
			return true;
		}
	});

	const View = Class.extend({
		__name__: 'LuCI.view',

		__init__() {
			const place = document.getElementById('view');
			DOM.content(place, E('div', { 'class': 'spinning' }, [ _('Loading view…') ]));
			const ready = L.loaded ? Promise.resolve() : new Promise(resolve => document.addEventListener('luci-loaded', resolve, { once: true }));

			return ready
				.then(() => this.load())
				.then(data => this.render(data))
				.then(nodes => {
					DOM.content(place, nodes);
					DOM.append(place, this.addFooter());
				})
				.catch(LuCI.prototype.error);
		},

		load() {},
		render() {},

		maps() { return Array.from(document.querySelectorAll('#maincontent .cbi-map')); },

		handleSave() { return Promise.all(this.maps().map(map => DOM.callClassMethod(map, 'save'))); },
		handleSaveApply(ev, mode) { return this.handleSave(ev).then(() => classes.ui.changes.apply(mode == '0')); },
		handleReset() { return Promise.all(this.maps().map(map => DOM.callClassMethod(map, 'reset'))); },

		// Three buttons, each gone if the view has null in its handler's place.
		addFooter() {
			const forms = this.maps().map(map => DOM.findClassInstance(map)).filter(form => form);
			const readonly = forms.length ? forms.every(form => form.readonly) : !LuCI.prototype.hasViewPermission();
			const button = (handler, style, label, ...args) => this[handler] ? E('button', {
				'class': `btn cbi-button cbi-button-${style}`,
				'click': classes.ui.createHandlerFn(this, handler, ...args),
				'disabled': readonly || null
			}, [ label ]) : null;
			const buttons = [
				this.handleSaveApply ? E('button', {
					'class': 'btn cbi-button cbi-button-apply important',
					'click': classes.ui.createHandlerFn(this, ev => this.handleSaveApply(ev, '0')),
					'disabled': readonly || null
				}, [ _('Save & Apply') ]) : null,
				button('handleSave', 'save', _('Save')),
				button('handleReset', 'reset', _('Reset'))
			].filter(it => it).flatMap(it => [ it, ' ' ]);
			return buttons.length ? E('div', { 'class': 'cbi-page-actions' }, buttons) : E([]);
		}
	});

	const classes = { baseclass: Class, dom: DOM, poll: Poll, request: Request, session: Session, view: View };
	const naturalCompare = new Intl.Collator(undefined, { numeric: true }).compare;

	const LuCI = Class.extend({
		__name__: 'LuCI',
		loaded: false,
		env,
		dom: DOM,
		view: View,
		Poll,
		Request,
		Class,
		naturalCompare,

		__init__(given) {
			Object.assign(env, given, { base_url: given.resource });
			const parsed = new Promise(resolve => document.addEventListener('DOMContentLoaded', resolve));
			const has = this.require('ui').then(() => this.require('rpc'));

			Promise.all([ has, parsed ]).then(() => {
				classes.rpc.setBaseURL(env.ubuspath);
				this.watchSession();
				document.addEventListener('poll-start', () => {
					classes.ui.showIndicator('poll-status', _('Refreshing'), () => Poll.active() ? Poll.stop() : Poll.start());
				});
				document.addEventListener('poll-stop', () => {
					classes.ui.showIndicator('poll-status', _('Paused'), null, 'inactive');
				});
				Poll.start();
				LuCI.prototype.loaded = true;
				document.dispatchEvent(new CustomEvent('luci-loaded'));
			}).catch(this.error);
		},

		// A refusal makes LuCI look whether the session still is one.
		watchSession() {
			classes.rpc.addInterceptor((msg, req) => {
				if (msg?.error?.code != -32002 || (req.object == 'session' && req.method == 'access'))
					return;
				const access = classes.rpc.declare({
					object: 'session', method: 'access', params: [ 'scope', 'object', 'function' ], expect: { access: true }
				});
				return access('uci', 'luci', 'read').catch(() => {
					Poll.stop();
					classes.ui.showModal(_('Session expired'), [ E('p', [ _('A new login is required since the authentication session expired.') ]) ]);
					LuCI.prototype.raise('SessionError', 'Login session is expired');
				});
			});
		},

		raise(type, fmt, ...args) {
			let error = type;
			if (!(type instanceof Error)) {
				error = new (window[type ?? 'Error'] ?? Error)(fmt ? fmt.format(...args) : 'Unspecified error');
				error.name = type ?? 'Error';
			}
			else if (fmt)
				error.message = `${fmt.format(...args)}: ${error.message}`;
			throw error;
		},

		// The same, told to the person in front of it too.
		error(type, fmt, ...args) {
			try {
				LuCI.prototype.raise(type, fmt, ...args);
			}
			catch (error) {
				if (!error.reported) {
					if (classes.ui instanceof Class)
						classes.ui.addNotification(error.name || _('Runtime error'), E('pre', {}, [ error.message ]), 'danger');
					else
						DOM.content(document.querySelector('#maincontent'), E('pre', { 'class': 'alert-message error' }, [ error.message ]));
					error.reported = true;
				}
				throw error;
			}
		},

		bind(fn, self, ...args) { return fn.bind(self, ...args); },

		// Loads a module once: its head names what it needs ('require x as y'), its body returns a class, of which one instance is made.
		require(name, from = []) {
			if (classes[name] != null) {
				if (from.includes(name))
					LuCI.prototype.raise('DependencyError', 'Circular dependency: class "%s" depends on "%s"', name, from.join('" which depends on "'));
				return Promise.resolve(classes[name]);
			}
			const url = `${env.base_url}/${name.replace(/\./g, '/')}.js`;

			return classes[name] = Request.get(url, { cache: true }).then(response => {
				if (!response.ok)
					LuCI.prototype.raise('NetworkError', 'HTTP error %d while loading class file "%s"', response.status, url);
				const source = response.text();
				const head = /^(?:\s|\/\/[^\n]*\n|\/\*[^]*?\*\/|(?:'[^'\n]*'|"[^"\n]*");?)*/.exec(source)[0].replace(/\/\/[^\n]*\n|\/\*[^]*?\*\//g, '');
				const needs = Array.from(head.matchAll(/['"]require[ \t]+(\S+?)(?:[ \t]+as[ \t]+([a-zA-Z_]\w*))?['"]/g), ([ , module, as ]) => ({ module, as: as ?? module.replace(/\W/g, '_') }));

				return Promise.all(needs.map(need => this.require(need.module, [ name ].concat(from)))).then(instances => {
					const factory = new Function('window', 'document', 'L', ...needs.map(need => need.as), `${source}\n//# sourceURL=${url}\n`);
					const made = factory(window, document, this, ...instances);
					if (!Class.isSubclass(made))
						LuCI.prototype.error('TypeError', '"%s" factory yields invalid constructor', name);
					if (made.displayName == 'AnonymousClass')
						made.displayName = name.replace(/(?:^|[. -])(.)/g, (m, letter) => letter.toUpperCase()) + 'Class';
					const instance = new made();
					if (!name.includes('.'))
						LuCI.prototype[name] = instance;
					return classes[name] = instance;
				});
			});
		},

		path(prefix, parts) {
			const all = Array.from(parts).flat(Infinity).filter(part => /^(?:[\w.%,;-]+\/)*[\w.%,;-]+$|^\?[\w.%=&;-]+$/.test(part));
			return prefix + (all.length ? all.map(part => part.startsWith('?') ? part : `/${part}`).join('') : '/');
		},

		url(...parts) { return this.path(env.scriptname, parts); },
		resource(...parts) { return this.path(env.resource, parts); },
		media(...parts) { return this.path(env.media, parts); },
		location() { return this.path(env.scriptname, env.requestpath); },
		fspath(...parts) { return [ env.documentroot, ...parts ].join('/').replace(/\/+/g, '/'); },

		isObject(value) { return value != null && typeof(value) == 'object'; },
		isArguments(value) { return Object.prototype.toString.call(value) == '[object Arguments]'; },

		sortedKeys(object, key, mode) {
			if (!LuCI.prototype.isObject(object))
				return [];
			const address = text => text.replace(/(?:^|[.:])([0-9a-fA-F]{1,4})/g, (m, part) => part.toLowerCase().padStart(4, '0'));
			const weigh = value => value == null ? null : mode == 'num' ? +value : mode == 'addr' ? address(value) : value;
			return Object.keys(object)
				.map(name => [ name, weigh(key != null ? object[name][key] : name) ])
				.filter(pair => pair[1] != null)
				.sort((a, b) => naturalCompare(a[1], b[1]))
				.map(pair => pair[0]);
		},

		sortedArray(value) { return this.toArray(value).sort(naturalCompare); },

		toArray(value) {
			if (value == null)
				return [];
			if (Array.isArray(value))
				return value;
			if (typeof(value) == 'object')
				return [ value ];
			const text = String(value).trim();
			return text == '' ? [] : text.split(/\s+/);
		},

		resolveDefault(value, otherwise) { return Promise.resolve(value).catch(() => otherwise); },

		hasSystemFeature() { return null; },

		// true: may write; false: may read; null: neither.
		hasViewPermission() {
			return env.nodespec?.satisfied ? !env.nodespec.readonly : null;
		}
	});

	window.LuCI = LuCI;
})();
