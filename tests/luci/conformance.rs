//! The stand-in of LuCI's runtime does what LuCI does: expressions with what they yield. With LUCI=DIR the same table is put to LuCI's
//! own code, by which the values here were found to be right.

use lab::LabConfig;
use serde_json::json;

use crate::bridge::access::User;
use crate::page::Page;

/// An expression, what it yields (awaited, as JSON), why.
const TABLE: &[(&str, &str, &str)] = &[
    // Texts.
    ("'%d of %s, %.1f%%'.format(3.7, 'a', 2)", r#""3 of a, 2.0%""#, "the usual"),
    ("'%h'.format('<b>&\"')", r#""&#60;b&#62;&#38;&#34;""#, "escaped for HTML"),
    ("'%t'.format(90061)", r#""1d 1h 1m 1s""#, "a time"),
    ("'%t'.format(59)", r#""0h 0m 59s""#, "a short one"),
    ("'%m|%1024m|%m'.format(1500, 2048, 7)", r#""1.50 K|2.00 Ki|7 ""#, "magnitudes"),
    ("'%05d|%-4s|%4s|%x'.format(42, 'a', 'b', 255)", r#""00042|a   |   b|ff""#, "widths"),
    ("'%s'.format(null)", r#""null""#, "null is a word"),
    ("_('Not translated')", r#""Not translated""#, "stays as it is"),
    // Elements.
    (
        "E('p', { 'class': 'x', 'id': null }, [ 'a<b', 5, null, E('i') ]).outerHTML",
        r#""<p class=\"x\">a&lt;b5<i></i></p>""#,
        "a list is text",
    ),
    ("E('p', [ '<b>' ]).outerHTML", r#""<p>&lt;b&gt;</p>""#, "attributes may be left out"),
    ("E('p', {}, '<b>x</b>').firstChild.nodeName", r#""B""#, "a single text is HTML"),
    ("E('p', {}, E('b')).firstChild.nodeName", r#""B""#, "a single element is itself"),
    ("E([ E('a'), E('b') ]).childNodes.length", "2", "a fragment"),
    ("E('<div class=\"y\">z</div>').className", r#""y""#, "markup"),
    ("{ let n = 0; E('p', { 'click': () => n++ }).click(); return n; }", "1", "a function is a handler"),
    ("E('p', { 'data-x': { a: 1 } }).getAttribute('data-x')", r#""{\"a\":1}""#, "an object is JSON"),
    (
        "{ const p = E('p', {}, [ 'a' ]); L.dom.content(p, [ 'b', E('i') ]); return p.innerHTML; }",
        r#""b<i></i>""#,
        "content replaces",
    ),
    (
        "{ const p = E('p'); L.dom.append(p, () => 'x'); return p.innerHTML; }",
        r#""x""#,
        "a function makes the children",
    ),
    (
        "{ const p = E('p'); L.dom.data(p, 'k', 1); return [ L.dom.data(p, 'k'), L.dom.data(p, 'z') ?? 0 ]; }",
        "[1,0]",
        "data",
    ),
    ("{ const i = E('i'), p = E('div', {}, E('p', {}, i)); return L.dom.parent(i, 'div') === p; }", "true", "parents"),
    ("[ L.dom.isEmpty(E('p')), L.dom.isEmpty(E('p', {}, E('i'))) ]", "[true,false]", "emptiness"),
    // Odds and ends of L.
    ("[ L.toArray(null), L.toArray(' a b '), L.toArray([ 1 ]), L.toArray({}) ]", r#"[[],["a","b"],[1],[{}]]"#, "lists"),
    ("L.sortedKeys({ b10: 1, b9: 2, a: 3 })", r#"["a","b9","b10"]"#, "names by nature"),
    ("L.sortedKeys({ a: { n: 2 }, b: { n: 1 }, c: {} }, 'n', 'num')", r#"["b","a"]"#, "by a member"),
    ("L.url('admin/status', 'failover')", r#""/cgi-bin/luci/admin/status/failover""#, "pages"),
    (
        "[ L.resource('x.js'), L.url('a', '<>', '?b=1') ]",
        r#"["/luci-static/resources/x.js","/cgi-bin/luci/a?b=1"]"#,
        "odd parts are left out",
    ),
    ("L.resolveDefault(Promise.reject(new Error('no')), 7)", "7", "a default"),
    ("[ L.isObject({}), L.isObject([]), L.isObject(null), L.isObject('') ]", "[true,true,false,false]", "objects"),
    ("L.hasViewPermission()", "true", "the admin may"),
    ("[ L.env.sessionid.length, L.env.requestpath.join('/') ]", r#"[32,"admin/harness/hello"]"#, "the environment"),
    // Classes.
    (
        "{ const A = L.Class.extend({ x() { return 1; } }), B = A.extend({ x() { return this.super('x', []) + 1; } }), C = B.extend({ x() { return this.super('x', []) * 10; } }); return [ new C().x(), new B().x(), new C() instanceof A ]; }",
        "[20,2,true]",
        "super by super",
    ),
    (
        "{ const A = L.Class.extend({ __init__(v) { this.v = v; } }), B = A.extend({}); return [ new B(4).v, L.Class.singleton({ n: 3 }).n ]; }",
        "[4,3]",
        "constructors",
    ),
    ("L.require('rpc').then(rpc => L.require('rpc').then(again => rpc === again))", "true", "a module is made once"),
    (
        "L.require('view.harness.no').then(() => 1, error => [ error.name, /404/.test(error.message) ])",
        r#"["NetworkError",true]"#,
        "or not at all",
    ),
    // Calls: what comes back.
    ("rpc({ method: 'status', expect: { active: '' } })()", r#""wan0""#, "a member"),
    ("rpc({ method: 'status', expect: { active: [] } })()", "[]", "of another type"),
    ("rpc({ method: 'status', expect: { none: 5 } })()", "5", "missing"),
    (
        "rpc({ method: 'status', params: [ 'provider' ], expect: { '': {} } })('nobody')",
        "{}",
        "a refusal, with a default",
    ),
    ("rpc({ method: 'status', params: [ 'provider' ] })('nobody')", "4", "without one its number"),
    (
        "rpc({ method: 'status', params: [ 'provider' ], reject: true })('nobody').catch(error => error.name)",
        r#""RPCError""#,
        "or an error",
    ),
    (
        "rpc({ method: 'status', params: { provider: '' }, expect: { '': {} } })({ provider: 'nobody', other: 1 })",
        "{}",
        "arguments by name",
    ),
    (
        "rpc({ method: 'status', params: [ 'provider' ], filter: (data, args, more) => [ typeof(data), args.provider, more ] })('wan1', 'x')",
        r#"["object","wan1","x"]"#,
        "a filter",
    ),
    (
        "rpc({ method: 'reload' })().catch(error => [ error.name, /-32002/.test(error.message) ])",
        r#"["RPCError",true]"#,
        "denied",
    ),
    ("rpc({ object: 'nobody', method: 'x' })().catch(error => /-32000/.test(error.message))", "true", "nobody there"),
    // The user interface.
    (
        "{ L.ui.showModal('T', [ E('p', [ 'body' ]), E('div', { 'class': 'right' }, [ E('button', { 'click': L.ui.hideModal }, [ 'x' ]) ]) ], 'cbi-modal'); const on = document.body.classList.contains('modal-overlay-active'), m = document.querySelector('#modal_overlay > .modal'); const seen = [ m.textContent, m.className, m.getAttribute('role') ]; m.querySelector('button').click(); return [ on, ...seen, document.body.classList.contains('modal-overlay-active') ]; }",
        r#"[true,"Tbodyx","modal cbi-modal","dialog",false]"#,
        "a modal",
    ),
    (
        "{ const n = L.ui.addNotification('T', E('p', [ '<i>' ]), 'warning'); return [ document.querySelector('#maincontent').firstElementChild === n, n.classList.contains('warning'), n.querySelector('h4').textContent, n.querySelector('p').textContent ]; }",
        r#"[true,true,"T","<i>"]"#,
        "a notification",
    ),
    (
        "[ L.ui.showIndicator('x', 'X', () => 0), L.ui.showIndicator('x', 'X', null, 'active'), document.querySelector('#indicators [data-indicator=x]').textContent, L.ui.hideIndicator('x'), L.ui.hideIndicator('x') ]",
        r#"[true,false,"X",true,false]"#,
        "an indicator",
    ),
    (
        "L.ui.itemlist(E('span'), [ 'A', 1, 'B', null, 'C', 'c' ]).textContent",
        r#""A: 1C: c""#,
        "facts, but for those that are null",
    ),
    (
        "new Promise(done => { const b = E('button', { 'click': L.ui.createHandlerFn({ v: 2 }, function(x, ev) { return Promise.resolve(done([ this.v, x, ev.type, b.disabled ])); }, 'x') }); b.click(); })",
        r#"[2,"x","click",true]"#,
        "a handler",
    ),
    ("L.ui.createHandlerFn({}, 'nothing')", "null", "of nothing"),
    // Forms.
    (
        "L.require('form').then(form => { const map = new form.Map('failover'), section = map.section(form.NamedSection, 'wan0', 'provider'), seen = []; const x = section.option(form.ListValue, 'x'), y = section.option(form.Value, 'y'); x.optional = true; x.value('a'); x.value('b'); x.onchange = (ev, sid, value) => seen.push([ sid, value ]); y.depends('x', 'b'); y.depends('x', ''); return map.render().then(node => { const choose = value => { const select = node.querySelector('select'); select.value = value; select.dispatchEvent(new Event('change', { bubbles: true })); seen.push(y.isActive('wan0'), node.querySelector('[data-name=y]').classList.contains('hidden')); }; document.body.append(node); choose('a'); choose('b'); choose(''); node.remove(); return seen; }); })",
        r#"[["wan0","a"],false,true,["wan0","b"],true,false,["wan0",""],true,false]"#,
        "an option that depends on another",
    ),
    // Polling.
    (
        "{ const f = () => 0; return [ L.Poll.active(), L.Poll.add(f, 60), L.Poll.add(f, 60), L.Poll.remove(f), L.Poll.remove(f), L.Poll.stop(), L.Poll.active(), L.Poll.start() ]; }",
        "[true,true,false,true,false,true,false,true]",
        "by its own word",
    ),
];

#[test]
fn the_stand_in_does_what_luci_does() {
    let page = Page::of_fixtures(LabConfig::default());
    let _daemon = page.start();
    page.open(User::Admin, "admin/harness/hello");
    let mut wrong = Vec::new();
    for (expression, want, why) in TABLE {
        let body =
            if expression.starts_with('{') { (*expression).to_owned() } else { format!("{{ return {expression}; }}") };
        let script = format!(
            "(async () => {{
                const declare = (await L.require('rpc')).declare.bind(await L.require('rpc'));
                const rpc = options => declare({{ object: 'failover', ...options }});
                return JSON.stringify(await (() => {body})());
            }})()"
        );
        let got = page.browser.promised(&script);
        if got != json!(want) {
            wrong.push(format!("{why}: {expression}\n  yields {got}\n  not    {}", json!(want)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
