//! Who may do what: the acl.d files of the packages, in the sense of rpcd. Asked by the bridge for each call, as uhttpd asks rpcd,
//! and by the stand-ins for rpcd's own objects.

use std::path::PathBuf;

use serde_json::{Map, Value};

/// Who is logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum User {
    /// root: `list read '*'`, `list write '*'` in /etc/config/rpcd.
    Admin,
    /// A user with `list read '*'` alone.
    Reader,
}

impl User {
    const ALL: [User; 2] = [User::Admin, User::Reader];

    /// The number of the session, which rpcd draws by lot.
    pub(crate) fn session(self) -> &'static str {
        match self {
            User::Admin => "5d0b14a6c9f3e8274b61dd03a7952e1f",
            User::Reader => "b8e1f0937c2a4d56880f3a9be7c41d20",
        }
    }

    pub(crate) fn of_session(session: &str) -> Option<User> {
        User::ALL.into_iter().find(|user| user.session() == session)
    }

    pub(crate) fn named(name: &str) -> Option<User> {
        User::ALL.into_iter().find(|user| user.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            User::Admin => "admin",
            User::Reader => "reader",
        }
    }

    fn rights(self) -> &'static [&'static str] {
        match self {
            User::Admin => &["read", "write"],
            User::Reader => &["read"],
        }
    }
}

/// All groups of all acl.d files.
pub(crate) struct Access {
    groups: Map<String, Value>,
}

impl Access {
    /// Reads the acl.d files.
    pub(crate) fn read(files: &[PathBuf]) -> Access {
        let mut groups = Map::new();
        for file in files {
            let text = std::fs::read_to_string(file).unwrap();
            let value: Value =
                serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            groups.extend(value.as_object().unwrap_or_else(|| panic!("{}: no object", file.display())).clone());
        }
        Access { groups }
    }

    /// rpcd's `session access`: a right in a scope is a pair of patterns, for the object and for the function.
    pub(crate) fn grants(&self, user: Option<User>, scope: &str, object: &str, function: &str) -> bool {
        self.groups.iter().any(|(name, group)| {
            let rights = match user {
                Some(user) => user.rights(),
                // What may be asked before anybody has logged in.
                None if name == "unauthenticated" => &["read"],
                None => &[],
            };
            rights.iter().filter(|right| group.get(right).is_some()).any(|right| match scope {
                "access-group" => name == object && *right == function,
                _ => match group.get(right).and_then(|rights| rights.get(scope)) {
                    // A list of objects: the function is the right itself.
                    Some(Value::Array(objects)) => has(objects, object) && *right == function,
                    Some(Value::Object(objects)) => objects.iter().any(|(pattern, functions)| {
                        matches(pattern, object) && functions.as_array().is_some_and(|all| has(all, function))
                    }),
                    _ => false,
                },
            })
        })
    }
}

fn has(patterns: &[Value], text: &str) -> bool {
    patterns.iter().filter_map(Value::as_str).any(|pattern| matches(pattern, text))
}

/// fnmatch, of whose signs only `*` occurs.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text
            .strip_prefix(start)
            .is_some_and(|tail| (0..=tail.len()).any(|at| tail.get(at..).is_some_and(|tail| matches(rest, tail)))),
    }
}
