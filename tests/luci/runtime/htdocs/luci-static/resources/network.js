'use strict';
'require baseclass';
'require rpc';
'require uci';

// LuCI's network module: the interfaces of /etc/config/network and netifd, the devices of the kernel, and little of what is known of them.

const callDump = rpc.declare({ object: 'network.interface', method: 'dump', expect: { interface: [] } });
const callDevices = rpc.declare({ object: 'luci-rpc', method: 'getNetworkDevices', expect: { '': {} } });

const PROTOCOLS = { none: () => _('Unmanaged'), static: () => _('Static address'), dhcp: () => _('DHCP client') };

let asked = null;
let interfaces = [];
let devices = {};

const ask = () => asked ??= Promise.all([ L.resolveDefault(callDump(), []), L.resolveDefault(callDevices(), {}), L.resolveDefault(uci.load('network')) ])
	.then(([ dump, found ]) => { interfaces = dump; devices = found; });

const Device = baseclass.extend({
	__init__(name) { this.name = name; },
	getName() { return this.name; },
	getType() { return devices[this.name]?.type ?? 'ethernet'; },
	getI18n() { return `${_('Ethernet Adapter')}: "${this.name}"`; },
	isUp() { return devices[this.name]?.up ?? false; },
	getNetworks() { return interfaces.filter(it => (it.l3_device ?? it.device) == this.name).map(it => new Network(it.interface)); }
});

const Network = baseclass.extend({
	__init__(name) { this.name = name; },
	state() { return interfaces.find(it => it.interface == this.name); },
	getName() { return this.name; },
	getProtocol() { return uci.get('network', this.name, 'proto') ?? this.state()?.proto ?? 'none'; },
	getI18n() { return PROTOCOLS[this.getProtocol()]?.() ?? _('Unknown'); },
	getIPAddr() { return this.state()?.['ipv4-address']?.[0]?.address ?? null; },
	isUp() { return this.state()?.up ?? false; },
	getDevices() { return [ this.state()?.l3_device ?? this.state()?.device ].filter(name => name).map(name => new Device(name)); }
});

return baseclass.extend({
	getNetworks() {
		return ask().then(() => {
			const names = uci.sections('network', 'interface').map(section => section['.name']).concat(interfaces.map(it => it.interface));
			return [ ...new Set(names) ].sort(L.naturalCompare).map(name => new Network(name));
		});
	},

	getDevices() { return ask().then(() => Object.keys(devices).sort(L.naturalCompare).map(name => new Device(name))); },
	instantiateNetwork(name) { return new Network(name); },
	instantiateDevice(name) { return new Device(name); }
});
