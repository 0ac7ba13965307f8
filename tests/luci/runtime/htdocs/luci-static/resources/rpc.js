'use strict';
'require baseclass';
'require request';

// LuCI's rpc module: ubus calls as functions. What a call yields is decided here as LuCI decides it: 'expect' picks a member and stands
// in for it, 'filter' may change it, and a status other than 0 is an error only with 'reject'.

let nextID = 1;
let session = L.env.sessionid;
let url = L.env.ubuspath;
const interceptors = [];

return baseclass.extend({
	send(req, msg, nobatch) {
		return request.post(url, { jsonrpc: '2.0', id: nextID++, ...msg }, { timeout: (L.env.rpctimeout ?? 20) * 1000, nobatch })
			.then(response => {
				if (!response.ok)
					L.raise('RPCError', 'RPC call to %s/%s failed with HTTP error %d: %s', req.object, req.method, response.status, '?');
				const frame = response.json();
				return Promise.all(interceptors.map(fn => fn(frame, req))).then(() => this.result(req, frame));
			});
	},

	result(req, frame) {
		if (!L.isObject(frame) || frame.jsonrpc != '2.0')
			L.raise('RPCError', 'RPC call to %s/%s returned invalid message frame', req.object, req.method);
		if (frame.error?.code && frame.error.message)
			L.raise('RPCError', 'RPC call to %s/%s failed with error %d: %s', req.object, req.method, frame.error.code, frame.error.message);

		let value = null;
		if (!req.object && !req.method)
			value = frame.result;
		else if (Array.isArray(frame.result)) {
			const [ code ] = frame.result;
			if (req.reject && code !== 0)
				L.raise('RPCError', 'RPC call to %s/%s failed with ubus code %d: %s', req.object, req.method, code, this.getStatusText(code));
			value = frame.result.length > 1 ? frame.result[1] : code;
		}

		const kind = it => Object.prototype.toString.call(it);
		for (const [ member, otherwise ] of Object.entries(req.expect ?? {}).slice(0, 1)) {
			if (value != null && member != '')
				value = value[member];
			if (value == null || kind(value) != kind(otherwise))
				value = otherwise;
		}
		return typeof(req.filter) == 'function' ? req.filter.call(this, value, req.params, ...req.extra) : value;
	},

	list(...names) {
		return this.send({}, { method: 'list', params: names.length ? names : undefined });
	},

	declare(options) {
		return (...args) => {
			const params = {};
			let used = 0;
			if (Array.isArray(options.params))
				for (const name of options.params)
					params[name] = args[used++];
			else if (L.isObject(options.params)) {
				for (const name in options.params)
					if (L.isObject(args[0]) && name in args[0])
						params[name] = args[0][name];
				used = 1;
			}
			const { object, method, expect, filter, reject, nobatch } = options;
			return this.send(
				{ object, method, expect, filter, reject, params, extra: args.slice(used) },
				{ method: 'call', params: [ session, object, method, params ] }, nobatch);
		};
	},

	getSessionID() { return session; },
	setSessionID(id) { session = id; },
	getBaseURL() { return url; },
	setBaseURL(address) { url = address; },

	getStatusText(code) {
		return [
			_('Command OK'), _('Invalid command'), _('Invalid argument'), _('Method not found'), _('Resource not found'), _('No data received'),
			_('Permission denied'), _('Request timeout'), _('Not supported'), _('Unspecified error'), _('Connection lost')
		][code] ?? _('Unknown error code');
	},

	addInterceptor(fn) {
		interceptors.push(fn);
		return fn;
	},

	removeInterceptor(fn) {
		const index = interceptors.indexOf(fn);
		if (index >= 0)
			interceptors.splice(index, 1);
		return index >= 0;
	}
});
