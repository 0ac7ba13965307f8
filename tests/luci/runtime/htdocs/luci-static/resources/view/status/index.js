'use strict';
'require view';
'require rpc';
'require poll';
'require dom';

// The overview page: loads every view/status/include/*.js, and every 5 s asks each for its data and puts what it renders into its section.

const callList = rpc.declare({ object: 'file', method: 'list', params: [ 'path' ], expect: { entries: [] } });

return view.extend({
	load() {
		return callList(`/www${L.resource('view/status/include')}`).then(entries => Promise.all(entries
			.filter(entry => entry.name.endsWith('.js'))
			.map(entry => `view.status.include.${entry.name.replace(/\.js$/, '')}`)
			.sort()
			.map(name => L.require(name))));
	},

	update(includes, places) {
		return Promise.all(includes.map(include => Promise.resolve(include.load?.()).catch(() => { include.failed = true; }))).then(data => {
			includes.forEach((include, i) => {
				if (include.failed)
					return;
				const content = include.render(data[i]);
				if (content != null) {
					places[i].parentNode.style.display = '';
					dom.content(places[i], content);
				}
			});
		});
	},

	render(includes) {
		const places = includes.map(() => E('div'));
		const sections = E([]);
		includes.forEach((include, i) => sections.appendChild(E('div', { 'class': 'cbi-section', 'style': 'display:none' }, [
			E('div', { 'class': 'cbi-title' }, [ E('h3', {}, [ include.title || '-' ]) ]), places[i]
		])));
		return this.update(includes, places).then(() => {
			poll.add(() => this.update(includes, places));
			return sections;
		});
	},

	handleSave: null,
	handleSaveApply: null,
	handleReset: null
});
