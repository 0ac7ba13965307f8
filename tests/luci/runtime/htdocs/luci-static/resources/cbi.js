// The globals that LuCI's cbi.js gives to every page: E, _, N_ and String.format. Loaded by the page before luci.js; window.TEXTS
// comes from the bridge, by the texts themselves where LuCI has their hashes.
'use strict';

function textKey(text, context) {
	const plain = it => String(it).trim().replace(/[ \t\n]+/g, ' ');
	return (context != null ? plain(context) + '\u0001' : '') + plain(text);
}

function _(text, context) {
	return window.TEXTS?.[textKey(text, context)] ?? text;
}

let pluralForm = null;

function N_(count, one, many, context) {
	pluralForm ??= new Function('n', (window.TEXTS?.['00000000'] ?? 'plural=(n != 1);').replace(/^/, 'let plural; ') + ' return +plural;');
	const form = pluralForm(count);
	return window.TEXTS?.[textKey(one, context) + '\u0002' + form] ?? (form ? many : one);
}

function E(...args) {
	return L.dom.create(...args);
}

function escapeHTML(value) {
	const names = { '&': '&#38;', '<': '&#60;', '>': '&#62;', '"': '&#34;', "'": '&#39;' };
	return String(value).replace(/[&<>"']/g, sign => names[sign]);
}

// '%d' and its kin: fill and width, then one of LuCI's types. %h escapes for HTML, %t is a time, %m a number with K, M, G.
String.prototype.format = function(...args) {
	let next = 0;

	return this.replace(/%('.|0| )?(-)?(\d+)?(\.\d+)?([%bcdufosxXqhjtm])/g, (whole, fill, left, width, precision, type) => {
		if (type == '%')
			return '%';

		const value = args[next++];
		if (value === undefined)
			return '';

		const number = +value || 0;
		const digits = precision ? +precision.slice(1) : null;
		let text;

		switch (type) {
		case 'b': text = Math.floor(number).toString(2); break;
		case 'c': text = String.fromCharCode(number); break;
		case 'd': case 'u': text = Math.floor(number).toFixed(0); break;
		case 'f': text = digits != null ? number.toFixed(digits) : String(number); break;
		case 'o': text = Math.floor(number).toString(8); break;
		case 'x': text = Math.floor(number).toString(16); break;
		case 'X': text = Math.floor(number).toString(16).toUpperCase(); break;
		case 'h': case 'q': text = escapeHTML(value); break;
		case 'j': text = JSON.stringify(value); break;
		case 't': text = formatTime(number); break;
		case 'm': return formatMagnitude(number, +width || 1000, digits);
		default: text = String(value);
		}

		const sign = fill == null ? ' ' : fill.startsWith("'") ? fill[1] : fill;
		return left ? text.padEnd(+width || 0) : text.padStart(+width || 0, sign);
	});
};

String.format = (pattern, ...args) => String(pattern).format(...args);

function formatTime(seconds) {
	const days = Math.floor(seconds / 86400);
	const rest = '%dh %dm %ds'.format(seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
	return days > 0 ? `${days}d ${rest}` : rest;
}

function formatMagnitude(number, step, digits) {
	const units = [ ' ', ' K', ' M', ' G', ' T', ' P', ' E' ];
	let unit = 0;
	for (; number > step && unit < units.length - 1; unit++)
		number /= step;
	if (!unit)
		return `${number} `;
	return number.toFixed(digits ?? 2) + units[unit] + (step == 1024 ? 'i' : '');
}

// LuCI's luci.js puts this aside and calls it when the page is there.
function cbi_init() {}
