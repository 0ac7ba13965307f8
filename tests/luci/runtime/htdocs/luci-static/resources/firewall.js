'use strict';
'require baseclass';
'require uci';

// LuCI's firewall module: which interfaces are in which zone.

const Zone = baseclass.extend({
	__init__(sid) { this.sid = sid; },
	getName() { return uci.get('firewall', this.sid, 'name'); },
	getNetworks() { return L.toArray(uci.get('firewall', this.sid, 'network')); }
});

return baseclass.extend({
	getZones() {
		return L.resolveDefault(uci.load('firewall')).then(() => uci.sections('firewall', 'zone').map(section => new Zone(section['.name'])));
	}
});
