/*
 * What the pages and the overview widget share: the daemon's methods, its sentences in the reader's language, and how a state, a
 * duration, a latency or a share is written. Fed by rpcd (ubus `failover`), used by view/failover/ and 25_failover.js.
 */
'use strict';
'require baseclass';
'require rpc';

const STATES = {
	online: _('Online'),
	degraded: _('Degraded'),
	offline: _('Offline'),
	no_carrier: _('No carrier'),
	unresolved: _('Not connected'),
	checking: _('Checking'),
	cold_standby: _('Cold standby'),
	disabled: _('Disabled')
};

/* Connections are counted for a while: nothing else is to wait for that. */
const call = (method, ...params) => rpc.declare({ object: 'failover', method, params, reject: true, nobatch: method == 'connections' });

document.head.appendChild(E('link', {
	'rel': 'stylesheet',
	'href': '%s?v=%s'.format(L.resource('view/failover/failover.css'), L.env.resource_version ?? '')
}));

return baseclass.extend({
	status: call('status'),
	why: call('why', 'parts'),
	series: call('series', 'since', 'step'),
	connections: call('connections'),
	check: call('check', 'provider'),
	pin: call('pin', 'provider'),
	unpin: call('unpin'),
	schema: call('schema'),
	validate: call('validate', 'config'),
	draft: call('draft'),

	/* A sentence of the daemon, ["pattern with {0} and {1}", part, part], its parts text or sentences again: always text, never markup. */
	say(sentence) {
		if (!Array.isArray(sentence))
			return String(sentence ?? '');

		return _(sentence[0]).replace(/\{(\d+)\}/g, (place, n) => this.say(sentence[+n + 1]));
	},

	states: STATES,

	/* One that waits unchecked on purpose is not being checked. */
	stateOf({ state, reason_code }) {
		return reason_code == 'cold_standby' ? reason_code : state;
	},

	/* A badge that `setBadge` keeps up to date. Its sign comes from the style sheet, so that colour is not the only one. */
	badge(state) {
		return this.setBadge(E('span', { 'class': 'failover-badge' }, ['']), state);
	},

	setBadge(badge, state) {
		this.setAttribute(badge, 'data-state', state);
		this.setText(badge, STATES[state] ?? state);

		return badge;
	},

	/* The document is touched only where something changes: selections and screen readers are not disturbed. */
	setText(node, text) {
		if (node.textContent !== text)
			node.textContent = text;
	},

	setAttribute(node, name, value) {
		if (node.getAttribute(name) !== value)
			node.setAttribute(name, value);
	},

	show(node, shown) {
		if (node.hidden == shown)
			node.hidden = !shown;
	},

	/* As the command line writes them: in the two largest units. */
	duration(seconds) {
		const two = (large, small, both, alone) => small ? both.format(large, small) : alone.format(large);
		const whole = unit => Math.floor(seconds / unit);

		if (seconds >= 86400)
			return two(whole(86400), whole(3600) % 24, _('%dd %dh'), _('%dd'));
		if (seconds >= 3600)
			return two(whole(3600), whole(60) % 60, _('%dh %dm'), _('%dh'));
		if (seconds >= 60)
			return two(whole(60), seconds % 60, _('%dm %ds'), _('%dm'));

		return _('%ds').format(seconds);
	},

	latency(ms) {
		if (ms == null)
			return '–';
		if (ms >= 999.5)
			return _('%s s').format((ms / 1000).toFixed(1));

		return _('%s ms').format(ms < 9.95 ? ms.toFixed(1) : ms.toFixed(0));
	},

	percent(share) {
		if (share == null)
			return '–';
		if (share > 0 && share < 0.05)
			return '<0.1%';
		if (share > 99 && share < 100)
			return '99%';

		return '%s%%'.format(share % 1 && share < 9.95 ? share.toFixed(1) : share.toFixed(0));
	},

	/* How the internet is, in one of four words for colour and sign: good, warn, bad, none. */
	mood(status, why) {
		if (!status.providers.length || !status.enabled)
			return 'none';

		const active = status.providers.find(provider => provider.active);

		if (!active || why.reason_code == 'no_uplink')
			return why.reason_code == 'starting' ? 'none' : 'bad';
		if (active.reliable)
			return active.state == 'degraded' || this.stoodIn(status, active) ? 'warn' : 'good';

		return why.reason_code == 'starting' ? 'none' : active.state == 'checking' ? 'warn' : 'bad';
	},

	/* It works, but only because one that is wanted more does not: nobody should have to read a sentence to notice. */
	stoodIn({ providers, pin }, active) {
		return !pin && providers.some(p => p.default && p.priority < active.priority && (!p.reliable || p.state == 'degraded') && ![ 'checking', 'disabled' ].includes(p.state));
	},

	/* What the daemon says of the configuration, without the place in a file that nobody here sees. */
	plain(line) {
		return line.replace(/^[^:]*:\d+: /, '').replace(/ \(line \d+\)/, '');
	},

	/* What stands instead of an answer. */
	excuse(error) {
		if (/-32000|-32601|ubus code [34]:/.test(error?.message))
			return _('failoverd is not running, or just starting.');
		if (/-32002/.test(error?.message))
			return _('You are not allowed to see this, or your session has ended.');

		return _('The router does not answer.');
	}
});
