//! Asks the real libuci and our parser about the same files and complains where they differ.
//!
//! ```text
//! cargo run --release            the corpus in tests/uci-corpus, then 20,000 generated files
//! cargo run --release -- 500000  that many generated files
//! cargo run --release -- record  writes libuci's verdicts down, for the ordinary tests to replay
//! ```
//!
//! Compared is whether a file is accepted and, if so, its content. Deliberate differences: we go on after an error to
//! report all of them, and refuse zero bytes, which libuci reads differently depending on its buffer. Options are compared by
//! name, not by order: libuci has changed its mind about the place of an option that is set twice.
//!
//! The crate's libuci is of 2021 and refuses an option after the third `config` line of the same section (it loses the
//! section on the way; mended since). Such files are counted apart. `UCI_DIR` points the build at another libuci.

mod generate;
mod libuci;
mod verdict;

use std::path::Path;
use std::process::ExitCode;

use verdict::{Generated, Recorded, Verdict};

const SEED: u64 = 0x6661_696c_6f76_6572;
/// How many generated files go into the recording.
const RECORDED: usize = 400;

fn main() -> ExitCode {
    let argument = std::env::args().nth(1);
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../uci-corpus");
    let mut libuci = libuci::Libuci::new();
    let mut recorded = Recorded::default();
    let mut differences = 0;

    let mut files: Vec<_> = std::fs::read_dir(&corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for path in files.iter().filter(|path| path.extension().is_some_and(|extension| extension == "uci")) {
        let text = std::fs::read(path).unwrap();
        let real = libuci.verdict(&text);
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        differences += u32::from(!agree(&name, &text, &real));
        recorded.files.insert(name, real);
    }
    println!("{} corpus files, {differences} differences", recorded.files.len());

    let record = argument.as_deref() == Some("record");
    let count =
        if record { RECORDED } else { argument.map_or(20_000, |count| count.parse().expect("a number of files")) };
    let mut random = generate::Random::new(SEED);
    let (mut accepted, mut old_bug) = (0, 0);
    for number in 0..count {
        let text = generate::file(&mut random);
        let real = libuci.verdict(text.as_bytes());
        accepted += u32::from(real != Verdict::Error);
        if real == Verdict::Error && reopened_twice(text.as_bytes()) {
            old_bug += 1;
            continue;
        }
        differences += u32::from(!agree(&format!("generated file {number}"), text.as_bytes(), &real));
        if record {
            recorded.generated.push(Generated { text, verdict: real });
        }
    }
    println!(
        "{count} generated files ({accepted} accepted by libuci, {old_bug} set apart), {differences} differences in all"
    );

    if record {
        let json = serde_json::to_string_pretty(&recorded.files).unwrap();
        std::fs::write(corpus.join("verdicts.json"), json + "\n").unwrap();
        let lines: Vec<String> = recorded.generated.iter().map(|one| serde_json::to_string(one).unwrap()).collect();
        std::fs::write(corpus.join("generated.json"), format!("[\n{}\n]\n", lines.join(",\n"))).unwrap();
    }
    if differences == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whether we accept the file and it opens one section three times.
fn reopened_twice(text: &[u8]) -> bool {
    let file = failoverd::uci::parse(text);
    file.errors.is_empty() && file.sections.iter().any(|section| section.repeated.len() > 1)
}

fn agree(name: &str, text: &[u8], real: &Verdict) -> bool {
    let ours = Verdict::of(&failoverd::uci::parse(text));
    if ours != *real {
        println!("{name}: {:?}\n  libuci: {real:?}\n  ours:   {ours:?}", String::from_utf8_lossy(text));
    }
    ours == *real
}
