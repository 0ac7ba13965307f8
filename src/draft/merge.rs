//! A draft put into the configuration file that is there: comments and the settings section stay, the providers are new.
//!
//! Works on lines, as people's comments and order are to be kept; what comes out is read again and compared with what was meant.

use super::{Draft, option};
use crate::settings::{self, Problem, Settings};
use crate::uci::{self, File, Section, UciValue};

/// A file that can be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merged {
    /// Its text.
    pub text: Vec<u8>,
    /// What it means.
    pub settings: Settings,
}

/// Why there is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The file has such sections, and they were not to be replaced.
    #[error(
        "{path}:{line}: there is a {kind} already, '{name}': nothing is changed without --force; --dry-run shows what would be written"
    )]
    Present {
        /// The file.
        path: String,
        /// The first one's line.
        line: u32,
        /// `provider`, `test` or `rule`.
        kind: String,
        /// Its name.
        name: String,
    },
    /// What would come out cannot be used: what stays of the file does not fit.
    #[error("{}\nnothing is changed: mend this first, it stays in the file", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Problems(Vec<Problem>),
    /// The file is written in a way that editing by lines would damage.
    #[error(
        "{0}: cannot be changed safely (is an option set three times, does a value span lines?): move the file away, then try again"
    )]
    Uneditable(String),
}

/// Puts `draft` into the file `existing`; `path` is for the sentences. With `replace` its sections take the place of those of their
/// kind, else there must be none.
pub fn merge(path: &str, existing: &[u8], draft: &Draft, replace: bool) -> Result<Merged, Refusal> {
    let file = uci::parse(existing);
    let goes = |section: &Section| match section.kind.as_str() {
        "provider" => true,
        "test" => !draft.tests.is_empty(),
        "rule" => !draft.rules.is_empty(),
        _ => false,
    };
    if let Some(section) = file.sections.iter().find(|section| goes(section) && !replace) {
        let (line, kind) = (section.line, section.kind.clone());
        let name = section.name.clone().unwrap_or_default();
        return Err(Refusal::Present { path: path.to_owned(), line, kind, name });
    }
    let draft = &renamed(draft, file.sections.iter().filter(|section| !goes(section)));
    let text = edited(existing, &file, draft, goes);
    let loaded = settings::parse(path, &text).map_err(Refusal::Problems)?;
    let wanted = uci::parse(draft.text().as_bytes());
    let stays = file.sections.iter().filter(|section| !goes(section));
    let comes = wanted.sections.iter().filter(|section| section.kind != "failover");
    let meant: Vec<Meaning<'_>> = stays.chain(comes).filter_map(|it| meaning(it, draft)).collect();
    let written = uci::parse(&text);
    let settings = written.sections.iter().find(|section| section.kind == "failover");
    let set = |name: &str| settings.and_then(|section| section.text(name)).unwrap_or_default();
    let unset = draft.settings.iter().any(|(name, value)| set(name) != value);
    if unset || written.sections.iter().filter_map(|it| meaning(it, draft)).ne(meant) {
        return Err(Refusal::Uneditable(path.to_owned()));
    }
    Ok(Merged { text, settings: loaded.settings })
}

/// With other names for providers and rules that have one of a section that `stays`: all sections of a file share their names.
fn renamed<'a>(draft: &Draft, stays: impl Iterator<Item = &'a Section>) -> Draft {
    let stays = stays.filter_map(|section| section.name.clone());
    let there: Vec<String> = stays.chain(["settings".to_owned()]).collect();
    let drafted = draft.providers.iter().chain(&draft.tests).chain(&draft.rules).map(|section| section.name.clone());
    let mut taken: Vec<String> = there.iter().cloned().chain(drafted).collect();
    let mut draft = draft.clone();
    let Draft { providers, rules, .. } = &mut draft;
    for provider in providers.iter_mut().filter(|provider| there.contains(&provider.name)) {
        let before = provider.rename(&mut taken);
        let uses = rules.iter_mut().flat_map(|rule| &mut rule.lists).filter(|(name, _)| *name == "use");
        let it = uses.flat_map(|(_, used)| used).filter(|used| **used == before);
        it.for_each(|used| used.clone_from(&provider.name));
    }
    for rule in rules.iter_mut().filter(|rule| there.contains(&rule.name)) {
        rule.rename(&mut taken);
    }
    draft
}

type Meaning<'a> = (&'a str, Option<&'a str>, Vec<(&'a str, Vec<&'a str>)>);

/// A section without its lines; of the settings what the draft leaves alone.
fn meaning<'a>(section: &'a Section, draft: &Draft) -> Option<Meaning<'a>> {
    let is_settings = section.kind == "failover";
    let ours = |name: &str| is_settings && draft.settings.iter().any(|(known, _)| *known == name);
    let options = section.options.iter().filter(|option| !ours(&option.name)).map(|option| {
        let values = match &option.value {
            UciValue::Single(text) => vec![text.as_str()],
            UciValue::List(items) => items.iter().map(|item| item.text.as_str()).collect(),
        };
        (option.name.as_str(), values)
    });
    let options: Vec<_> = options.collect();
    (!is_settings || !options.is_empty()).then_some((&section.kind, section.name.as_deref(), options))
}

fn edited(existing: &[u8], file: &File, draft: &Draft, goes: impl Fn(&Section) -> bool) -> Vec<u8> {
    // Every `config` line: where it is, whose, and whether its block goes.
    let starts = |section: &Section| section.repeated.iter().copied().chain([section.line]).collect::<Vec<_>>();
    let gone: Vec<u32> = file.sections.iter().filter(|section| goes(section)).flat_map(starts).collect();
    let kept: Vec<u32> = file.sections.iter().filter(|section| !goes(section)).flat_map(starts).collect();
    let settings = file.sections.iter().find(|section| section.kind == "failover");
    let replaced: Vec<u32> = settings
        .into_iter()
        .flat_map(|section| &section.options)
        .filter(|option| draft.settings.iter().any(|(name, _)| *name == option.name))
        .flat_map(|option| option.replaced.into_iter().chain([option.line]))
        .collect();

    let mut text: Vec<u8> = Vec::with_capacity(existing.len());
    let mut dropping = false;
    // Comments and empty lines at the end of a section that goes belong to what follows.
    let mut pending: Vec<u8> = Vec::new();
    for (number, line) in (1..).zip(existing.split_inclusive(|&byte| byte == b'\n')) {
        if gone.contains(&number) || kept.contains(&number) {
            text.append(&mut pending);
            dropping = gone.contains(&number);
        }
        let trimmed = line.trim_ascii_start();
        let remark = trimmed.is_empty() || trimmed.starts_with(b"#");
        match (dropping, remark) {
            (true, true) => pending.extend_from_slice(line),
            (true, false) => pending.clear(),
            (false, _) if replaced.contains(&number) => {}
            (false, _) => text.extend_from_slice(line),
        }
        if settings.is_some_and(|section| section.line == number) {
            end_line(&mut text);
            draft.settings.iter().for_each(|(name, value)| text.extend(option(name, value).into_bytes()));
        }
    }
    text.append(&mut pending);
    text.truncate(text.trim_ascii_end().len());
    end_line(&mut text);
    match settings {
        Some(_) => text.extend(draft.sections().into_bytes()),
        None => {
            if !text.is_empty() {
                text.push(b'\n');
            }
            text.extend(draft.text().into_bytes());
        }
    }
    text
}

fn end_line(text: &mut Vec<u8>) {
    if text.last().is_some_and(|last| *last != b'\n') {
        text.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draft::Section as Drafted;

    fn draft() -> Draft {
        let mut wan = Drafted::new("wan");
        wan.set("interface", "wan");
        Draft { providers: vec![wan], ..Draft::default() }
    }

    fn with_test() -> Draft {
        let mut test = Drafted::new("new");
        test.lists.push(("target", vec!["9.9.9.9".to_owned()]));
        Draft { tests: vec![test], ..draft() }
    }

    fn merged(existing: &str, draft: &Draft, replace: bool) -> Result<String, String> {
        match merge("failover", existing.as_bytes(), draft, replace) {
            Ok(merged) => Ok(String::from_utf8(merged.text).unwrap()),
            Err(refusal) => Err(refusal.to_string()),
        }
    }

    const NEW: &str = "config provider 'wan'\n\toption interface 'wan'\n";
    const OLD: &str = "# head\nconfig failover 'settings'\n\toption enabled '1'\n#\toption up '3'\n\n# the fibre\n\
        config provider 'old'\n\toption device 'eth9'\n\t# inside\n\toption metered '1'\n\n# the test\n\
        config test 't'\n\tlist target '8.8.8.8'\n# tail\n";

    #[test]
    fn what_stays_and_what_comes() {
        let settings = "config failover 'settings'\n";
        let same = |draft: &Draft| Draft { settings: vec![("up", "5".to_owned())], ..draft.clone() };
        for (existing, draft, replace, want, why) in [
            ("", draft(), false, format!("{settings}\n{NEW}"), "no file"),
            ("\n\n", draft(), false, format!("{settings}\n{NEW}"), "an empty file"),
            ("# mine", draft(), false, format!("# mine\n\n{settings}\n{NEW}"), "no settings section, no last newline"),
            (
                "config failover 'settings'\n\toption up '2'\n\n# end\n\n\n",
                draft(),
                false,
                format!("{settings}\toption up '2'\n\n# end\n\n{NEW}"),
                "the shipped file: comments stay",
            ),
            (
                OLD,
                draft(),
                true,
                format!(
                    "# head\n{settings}\toption enabled '1'\n#\toption up '3'\n\n# the fibre\n\n# the test\n\
                     config test 't'\n\tlist target '8.8.8.8'\n# tail\n\n{NEW}"
                ),
                "the provider goes, tests stay unless the draft has its own",
            ),
            (
                OLD,
                with_test(),
                true,
                format!(
                    "# head\n{settings}\toption enabled '1'\n#\toption up '3'\n\n# the fibre\n\n# the test\n# tail\n\n{NEW}\
                     \nconfig test 'new'\n\tlist target '9.9.9.9'\n"
                ),
                "tests of the draft replace those of the file",
            ),
            (
                "config failover settings\n option up 2\n option down 2\n",
                same(&draft()),
                false,
                format!("config failover settings\n\toption up '5'\n option down 2\n\n{NEW}"),
                "an option of the draft replaces that of the file",
            ),
            (
                "config failover settings\n option up 2\n option down 2\n option up 3\n",
                same(&draft()),
                false,
                format!("config failover settings\n\toption up '5'\n option down 2\n\n{NEW}"),
                "both of two that were there",
            ),
            (
                "config provider old\n option device 'eth9'\nconfig failover settings",
                same(&draft()),
                true,
                format!("config failover settings\n\toption up '5'\n\n{NEW}"),
                "settings in the last line",
            ),
            (
                "config provider old\n option intervall 'x'\n",
                draft(),
                true,
                format!("{settings}\n{NEW}"),
                "what was wrong with a provider goes with it",
            ),
        ] {
            assert_eq!(merged(existing, &draft, replace), Ok(want), "{why}");
        }
    }

    #[test]
    fn a_section_that_stays_keeps_its_name() {
        for (interface, existing, want) in [
            ("settings", "", "config provider 'settings_2'\n\toption interface 'settings'\n"),
            (
                "internet",
                "config test internet\n list target 1.1.1.1\n",
                "config provider 'internet_2'\n\toption interface 'internet'\n",
            ),
        ] {
            let mut wan = Drafted::new(interface);
            wan.set("interface", interface);
            let draft = Draft { providers: vec![wan], ..Draft::default() };
            let text = merged(existing, &draft, false);
            assert!(text.as_ref().is_ok_and(|text| text.contains(want)), "{text:?}");
            let again = merged(&text.clone().unwrap(), &draft, true);
            assert_eq!(again, text, "once more is the same");
        }
    }

    #[test]
    fn rules_follow_their_providers_and_take_the_place_of_rules() {
        let mut rule = Drafted::new("t");
        rule.lists.push(("use", vec!["wan".to_owned()]));
        let draft = Draft { rules: vec![rule], ..draft() };
        let existing = "config test t\n list target 1.1.1.1\nconfig test wan\n list target 9.9.9.9\n\
            config provider old\n option device eth9\nconfig rule\n list use old\n";
        let text = merged(existing, &draft, true).unwrap();
        let want = "config provider 'wan_2'\n\toption interface 'wan'\n\nconfig rule 't_2'\n\tlist use 'wan_2'\n";
        assert!(text.ends_with(want) && text.contains("config test wan") && !text.contains("old"), "{text}");
        assert_eq!(merged(&text, &draft, true), Ok(text), "once more is the same");
        let refusal = merged("config rule r\n list use a\n", &draft, false).unwrap_err();
        assert!(refusal.starts_with("failover:1: there is a rule already, 'r'"), "{refusal}");
    }

    #[test]
    fn refusals_name_the_place() {
        for (existing, draft, replace, want) in [
            (
                OLD,
                draft(),
                false,
                "failover:7: there is a provider already, 'old': nothing is changed without --force; --dry-run shows",
            ),
            (
                "config test t\n list target 1.1.1.1\n",
                with_test(),
                false,
                "failover:1: there is a test already, 't': nothing is changed without --force",
            ),
            (
                "config failover settings\n option pin old\nconfig provider old\n option device eth9\n",
                draft(),
                true,
                "failover:2: settings: pin: there is no provider 'old'",
            ),
            ("config failover settings\n option upp 2\n", draft(), false, "failover:2: settings: unknown option 'upp'"),
            (
                "config failover settings\n option up 1\n option up 2\n option up 3\n",
                Draft { settings: vec![("up", "5".to_owned())], ..draft() },
                false,
                "failover: cannot be changed safely (is an option set three times, does a value span lines?)",
            ),
            (
                "config failover settings\n option up '2\n option down 3 #'\n",
                Draft { settings: vec![("up", "5".to_owned())], ..draft() },
                false,
                "failover: cannot be changed safely (is an option set three times, does a value span lines?): move the file away, then try again",
            ),
        ] {
            let refusal = merged(existing, &draft, replace).unwrap_err();
            assert!(refusal.starts_with(want), "{refusal}");
        }
    }
}
