'use strict';
'require baseclass';
'require dom';
'require form';
'require inputs';
'require network';

// LuCI's tools.widgets: options that choose among the interfaces and the devices there are.

const NetworkSelect = form.ListValue.extend({
	load(sid) {
		return network.getNetworks().then(networks => {
			this.networks = networks;
			return form.ListValue.prototype.load.call(this, sid);
		});
	},

	renderIfaceBadge(net) {
		const badge = E('span', { 'class': 'ifacebadge' }, `${net.getName()}: `);
		dom.append(badge, [ net.getDevices().map(device => device.getName()).join(' ') || E('em', {}, [ _('(no interfaces attached)') ]) ]);
		return badge;
	},

	// An interface that is not there is not shown, nor kept.
	renderWidget(sid, index, value) {
		const choices = this.rmempty || this.optional ? { '': E('em', {}, [ _('unspecified') ]) } : {};
		for (const net of this.networks)
			if (net.getName() != 'loopback')
				choices[net.getName()] = this.renderIfaceBadge(net);
		return new inputs.Dropdown(value in choices ? value : null, choices, { ...this.settings(sid), sort: true, create: !this.nocreate }).render();
	},

	textvalue(sid) {
		const net = this.networks.find(it => it.getName() == this.cfgvalue(sid));
		return net ? this.renderIfaceBadge(net) : E('em', {}, [ _('unspecified') ]);
	}
});

const DeviceSelect = form.ListValue.extend({
	load(sid) {
		return network.getDevices().then(devices => {
			this.devices = devices;
			return form.ListValue.prototype.load.call(this, sid);
		});
	},

	renderWidget(sid, index, value) {
		const choices = this.rmempty || this.optional ? { '': E('em', {}, [ _('unspecified') ]) } : {};
		const names = this.devices.map(device => device.getName()).filter(name => name != 'lo');
		for (const name of value && !this.nocreate && !names.includes(value) ? [ ...names, value ] : names)
			choices[name] = E('span', {}, [ name ]);
		return new inputs.Dropdown(value, choices, { ...this.settings(sid), sort: Object.keys(choices), create: !this.nocreate }).render();
	}
});

return baseclass.extend({ NetworkSelect, DeviceSelect });
