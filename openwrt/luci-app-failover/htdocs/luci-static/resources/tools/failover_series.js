/*
 * How the lines were: kept from the increments of ubus `series`, drawn as a sparkline of the last minutes and as bands of the last
 * day. Fed with replies and read by view/failover/status.js. Times are the daemon's, seconds since its start.
 */
'use strict';
'require baseclass';
'require tools.failover as failover';

const MINUTES = 300;
const DAY = 86400;
const STEP = 600;
const ROW = 36;
const AXIS = 20;

/* Heights of the bands: a calm line while all is well, and trouble the higher the worse. */
const HEIGHTS = { online: 6, checking: 6, degraded: 14, offline: 24, no_carrier: 24, unresolved: 24 };
const HATCHED = [ 'checking', 'no_carrier', 'unresolved' ];

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const calendar = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });

function svg(tag, attributes, ...children) {
	const node = document.createElementNS('http://www.w3.org/2000/svg', tag);

	for (const name in attributes)
		node.setAttribute(name, attributes[name]);
	node.append(...children);

	return node;
}

return baseclass.extend({
	__init__() {
		this.forget();
	},

	/* Another run of the daemon counts its seconds from the start again. */
	forget(run) {
		Object.assign(this, { run, next: 0, nextDay: 0, boot: null, singles: {}, day: {}, switches: [], moved: false, changed: true });
	},

	/* From when on results are wanted at `uptime`: not what has been told, and not hours that a hidden page has missed. */
	since(uptime) {
		return Math.max(this.next, uptime - MINUTES, 0);
	},

	/* The day is asked for once a minute, and after a switch; null: not now. */
	sinceDay(uptime) {
		return !this.nextDay || this.moved || uptime >= this.nextDay + 60 ? this.nextDay : null;
	},

	take(reply) {
		if (reply.run !== this.run)
			this.forget(reply.run);

		/* Whole seconds come from the daemon: only a real change of the browser's clock moves what has been drawn. */
		const boot = Date.now() - reply.uptime * 1000;
		if (this.boot == null || Math.abs(boot - this.boot) > 3000)
			this.boot = boot;

		const day = reply.step > 0;
		const kept = day ? this.day : this.singles;
		const oldest = reply.uptime - (day ? DAY + STEP : MINUTES);

		for (const provider of reply.providers) {
			/* An entry of the day that is not over comes again. */
			const again = provider.entries.length ? provider.entries[0][0] : Infinity;
			kept[provider.name] = (kept[provider.name] ?? [])
				.filter(entry => entry[0] >= oldest && entry[0] < again)
				.concat(provider.entries);
		}

		const news = (reply.switches ?? []).filter(one => !this.switches.some(old => old.at === one.at && old.to === one.to));
		this.switches = this.switches.concat(news).slice(-100);
		this.moved = !day && (news.length > 0 || this.moved);
		this.changed ||= day || news.length > 0;
		this[day ? 'nextDay' : 'next'] = reply.next;
	},

	time(at) {
		return clock.format(this.boot + at * 1000);
	},

	date(at) {
		return calendar.format(this.boot + at * 1000);
	},

	newSpark() {
		return svg('svg', { 'class': 'failover-spark', 'viewBox': '0 0 300 30', 'preserveAspectRatio': 'none', 'role': 'img' },
			svg('path', { 'class': 'failed' }), svg('path', { 'class': 'latency' }));
	},

	drawSpark(node, name, uptime) {
		const results = this.singles[name] ?? [];
		const latencies = results.filter(([ , , ms ]) => ms != null).map(([ , , ms ]) => ms);
		const highest = Math.max(...latencies);
		const scale = 28 / Math.max(highest * 1.2, 10);
		let latency = '', failed = '', pen = 'M', failures = 0;

		for (const [ at, ok, ms ] of results) {
			const x = at - uptime + MINUTES;
			if (ms != null)
				latency += '%s%d %s'.format(pen, x, (29 - ms * scale).toFixed(1));
			/* A dot where a result stands alone. */
			if (ms != null && pen == 'M')
				latency += 'h.1';
			pen = ms == null ? 'M' : 'L';
			if (!ok) {
				failed += 'M%d 0V30'.format(x);
				failures++;
			}
		}

		failover.setAttribute(node.firstChild, 'd', failed);
		failover.setAttribute(node.lastChild, 'd', latency);
		failover.setAttribute(node, 'aria-label', latencies.length
			? _('Last five minutes: %s to %s, failed checks: %d').format(failover.latency(Math.min(...latencies)), failover.latency(highest), failures)
			: _('Last five minutes: no answer, failed checks: %d').format(failures));
	},

	/* Neighbouring entries of one state: [start, end, state, worst loss]. */
	bands(name, uptime) {
		const bands = [];

		for (const [ start, state, loss ] of this.day[name] ?? []) {
			const last = bands[bands.length - 1];
			const end = Math.min(start + STEP, uptime);
			if (end <= uptime - DAY || state == 'disabled')
				continue;
			if (last && last[1] >= start && last[2] == state)
				last.splice(1, 3, end, state, Math.max(last[3], loss ?? 0));
			else
				bands.push([ Math.max(start, uptime - DAY), end, state, loss ?? 0 ]);
		}

		return bands;
	},

	tellBand([ start, end, state, loss ]) {
		return _('%s from %s to %s, loss up to %s').format(failover.states[state] ?? state, this.time(start), this.time(end), failover.percent(loss));
	},

	/* The bands of `names`, a row for each, with the hours, who carried the traffic, and where it moved. */
	drawDay(node, names, active, uptime) {
		const from = uptime - DAY;
		const x = at => '%.3f%%'.format(Math.max(at - from, 0) / DAY * 100);
		const wide = (start, end) => '%.3f%%'.format(Math.max(end - Math.max(start, from), 0) / DAY * 100);
		const middle = name => names.indexOf(name) * ROW + ROW / 2;
		const height = names.length * ROW;
		const drawn = [ svg('defs', {}, svg('pattern', { 'id': 'failover-hatch', 'width': 5, 'height': 5, 'patternUnits': 'userSpaceOnUse', 'patternTransform': 'rotate(45)' },
			svg('rect', { 'width': 2, 'height': 5 }))) ];

		const hour = new Date(this.boot + from * 1000);
		for (hour.setHours(hour.getHours() + 1, 0, 0); hour < this.boot + uptime * 1000; hour.setHours(hour.getHours() + 1)) {
			const place = x((hour - this.boot) / 1000);
			if (hour.getHours() % 3)
				continue;
			drawn.push(svg('line', { 'class': 'hour', 'x1': place, 'x2': place, 'y1': 0, 'y2': height }));
			if (parseFloat(place) > 2 && parseFloat(place) < 98)
				drawn.push(svg('text', { 'class': hour.getHours() % 6 ? 'odd' : '', 'x': place, 'y': height + 14 }, clock.format(hour)));
		}

		for (const name of names) {
			drawn.push(svg('line', { 'class': 'silence', 'x1': 0, 'x2': '100%', 'y1': middle(name), 'y2': middle(name) }));
			for (const band of this.bands(name, uptime)) {
				const [ start, end, state ] = band;
				const tall = HEIGHTS[state] ?? 24;
				const box = { 'x': x(start), 'width': wide(start, end), 'y': middle(name) - tall / 2, 'height': tall };
				drawn.push(svg('rect', { ...box, 'data-state': state }, svg('title', {}, this.tellBand(band))));
				if (HATCHED.includes(state))
					drawn.push(svg('rect', { ...box, 'class': 'hatched' }));
			}
		}

		/* Who carried the traffic follows from the switches. */
		const switches = this.switches.filter(one => one.at >= from);
		const turns = [ { at: Math.max(from, 0), to: switches.length ? switches[0].from : active }, ...switches, { at: uptime } ];
		turns.slice(0, -1).forEach((turn, i) => {
			if (names.includes(turn.to))
				drawn.push(svg('rect', { 'class': 'traffic', 'x': x(turn.at), 'width': wide(turn.at, turns[i + 1].at), 'y': middle(turn.to) + 14, 'height': 3 }));
		});
		for (const { at, from: before, to, parts } of switches) {
			const place = x(at);
			const y = [ before, to ].filter(name => names.includes(name)).map(name => middle(name) + 15);
			drawn.push(svg('g', { 'class': 'switch' },
				svg('line', { 'x1': place, 'x2': place, 'y1': Math.min(...y, height), 'y2': Math.max(...y, 0) }),
				svg('circle', { 'cx': place, 'cy': names.includes(to) ? middle(to) + 15 : height, 'r': 4 }),
				svg('title', {}, _('%s: %s').format(this.time(at), failover.say(parts)))));
		}

		node.setAttribute('height', height + AXIS);
		node.replaceChildren(...drawn);
		this.changed = false;
	},

	newDay() {
		return svg('svg', { 'class': 'failover-day', 'width': '100%', 'role': 'img', 'aria-label': _('The last day of every provider; told in words below') });
	}
});
