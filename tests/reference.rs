//! The reference's table of options is the table the parser uses.

#![allow(clippy::unwrap_used)]

use std::fmt::Write;

use failoverd::settings::schema::{OPTIONS, SectionKind};

const BEGIN: &str = "<!-- options: made from the table in src/settings/schema.rs, checked by tests/reference.rs -->\n";
const END: &str = "<!-- /options -->\n";

fn reference() -> String {
    let mut text = String::new();
    for (section, title) in [
        (SectionKind::Settings, "`config failover 'settings'`"),
        (
            SectionKind::Provider,
            "`config provider 'NAME'`; every option of a check can be set here too, for this provider alone",
        ),
        (SectionKind::Test, "`config test 'NAME'`"),
        (SectionKind::Rule, "`config rule 'NAME'`, or without a name"),
    ] {
        writeln!(text, "\n{title}\n\n| option | default | must be | meaning |\n|---|---|---|---|").unwrap();
        for option in OPTIONS.iter().filter(|option| option.sections.first() == Some(&section)) {
            let default = if option.default.is_empty() { String::new() } else { format!("`{}`", option.default) };
            let list = if option.list { "list " } else { "" };
            writeln!(text, "| `{list}{}` | {default} | {} | {} |", option.name, option.kind.describe(), option.doc)
                .unwrap();
        }
    }
    text + "\n"
}

#[test]
#[allow(clippy::disallowed_methods)]
fn the_reference_is_true() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reference.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (there, after) = rest.split_once(END).unwrap();
    if std::env::var_os("WRITE_REFERENCE").is_some() {
        std::fs::write(path, format!("{before}{BEGIN}{}{END}{after}", reference())).unwrap();
        return;
    }
    assert_eq!(there, reference(), "bring it up to date: WRITE_REFERENCE=1 cargo test --test reference");
}
