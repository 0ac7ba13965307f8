//! Files that look like UCI, with the emphasis on what parsers get wrong: quotes, backslashes, `;`, comments, line ends.

/// SplitMix64: small, seeded, the same everywhere.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit as u64) as usize
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// One file. Some are well-formed but for one or two oddities, so that acceptance is compared as often as refusal.
pub(crate) fn file(random: &mut Random) -> String {
    // How odd the file is: one word in this many.
    let calm = [3, 10, 40][random.below(3)];
    let mut text = String::new();
    if random.one_in(8) {
        text.push_str("package failover\n");
    }
    for statement in 0..1 + random.below(8) {
        if statement == 0 && !random.one_in(calm) || random.one_in(4) {
            text.push_str(random.pick(&["config", "config", "config", "c"]));
            blank(random, calm, &mut text);
            word(random, calm, &["t", "t", "t", "u", "t-x"], &mut text);
            if !random.one_in(4) {
                blank(random, calm, &mut text);
                word(random, calm, &["a", "b", "c", "d_1"], &mut text);
            }
        } else {
            text.push_str(random.pick(&["option", "option", "list", "\toption", "\tlist", "o", "l"]));
            blank(random, calm, &mut text);
            word(random, calm, &["x", "y", "z"], &mut text);
            if !random.one_in(10) {
                blank(random, calm, &mut text);
                word(
                    random,
                    calm,
                    &["1", "a b", "it's", "long value", "\u{e9}t\u{e9}", "a#b", "c;d", "q\"q", "b\\s", ""],
                    &mut text,
                );
            }
        }
        end(random, calm, &mut text);
    }
    if random.one_in(4) {
        while text.ends_with(['\n', '\r']) {
            text.pop();
        }
    }
    text
}

fn blank(random: &mut Random, calm: usize, text: &mut String) {
    if random.one_in(calm * 2) {
        text.push_str(
            random.pick(&["", "\r", "\x0b", "\\\n", " \\\n", "\\\n ", "\\\r\n", "\n", " ''", ";", " ; ", "\\"]),
        );
    } else {
        text.push_str(random.pick(&[" ", " ", "\t", "  "]));
    }
}

fn end(random: &mut Random, calm: usize, text: &mut String) {
    if random.one_in(calm) {
        text.push_str(random.pick(&[
            ";",
            " ;",
            " ; ",
            ";\n",
            " # c\n",
            "#c\n",
            "\r\n",
            " ''\n",
            " '' ",
            "\\\n",
            "\\\r\n",
            " extra\n",
            "'';",
            "\n\n",
            "\n\\\n",
            "",
            " # it's\n",
            "\n;\n",
            "\r",
            " \r\n",
            ";;",
        ]));
    } else {
        text.push_str(random.pick(&["\n", "\n", "\n", " \n"]));
    }
}

/// A word in one of its spellings; now and then in one that is not quite.
fn word(random: &mut Random, calm: usize, from: &[&str], text: &mut String) {
    let word = random.pick(from);
    if random.one_in(calm) {
        return scramble(random, word, text);
    }
    match random.below(4) {
        0 if word.chars().all(|c| c.is_alphanumeric() || c == '_') && !word.is_empty() => text.push_str(word),
        1 => {
            text.push('"');
            text.push_str(&word.replace('\\', "\\\\").replace('"', "\\\""));
            text.push('"');
        }
        2 if !word.is_empty() => {
            for character in word.chars() {
                if !character.is_alphanumeric() || random.one_in(3) {
                    text.push('\\');
                }
                text.push(character);
            }
        }
        _ => {
            text.push('\'');
            text.push_str(&word.replace('\'', "'\\''"));
            text.push('\'');
        }
    }
}

/// Characters of the word with anything between them.
fn scramble(random: &mut Random, word: &str, text: &mut String) {
    const ODD: &[&str] = &[
        "'", "'", "\"", "\"", "\\", "\\\n", "\\\r\n", "\n", "\r", "#", ";", " ", "''", "\"\"", "\\'", "\\\"", "\\\\",
        "'\\''", "-", "\u{fc}", "\x01",
    ];
    for character in word.chars() {
        if random.one_in(2) {
            text.push_str(random.pick(ODD));
        }
        text.push(character);
    }
    if random.one_in(2) {
        text.push_str(random.pick(ODD));
    }
}
