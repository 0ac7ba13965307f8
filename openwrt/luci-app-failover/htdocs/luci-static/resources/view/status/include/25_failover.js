/*
 * Status -> Overview: the sentence, and a badge per provider. Fed by ubus `status` and `why`, polled by the overview.
 */
'use strict';
'require baseclass';
'require tools.failover as failover';

return baseclass.extend({
	title: _('Failover'),

	load() {
		if (document.hidden && this.last)
			return Promise.resolve(this.last);

		return Promise.all([ failover.status(), failover.why(true) ]).then(reply => this.last = reply, error => {
			/* The overview forgets about a part that fails: right for somebody who may not see it, wrong for a daemon that restarts. */
			if (/-32002/.test(error?.message))
				throw error;

			return [ null, error ];
		});
	},

	render([ status, why ]) {
		const link = (label, page) => E('a', { 'href': L.url('admin', page ?? 'status', 'failover') }, [ label ]);

		if (!status)
			return E('div', { 'class': 'failover-hero', 'data-mood': 'none' }, [ E('p', {}, [ failover.excuse(why) ]) ]);

		return E('div', { 'class': 'failover-hero', 'data-mood': failover.mood(status, why) }, [
			E('div', {}, [
				E('p', { 'class': 'failover-sentence' }, [ status.providers.length ? failover.say(why.sentence) : link(_('Set up providers'), 'network') ]),
				E('ul', { 'class': 'failover-badges' }, status.providers.map(provider => E('li', {}, [
					link(provider.name), provider.share_percent == null ? ' ' : ` ${failover.percent(provider.share_percent)} `, failover.badge(failover.stateOf(provider))
				])))
			])
		]);
	}
});
