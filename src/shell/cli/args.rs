//! The command line in two stages: what was typed, then what it means. Pure; fed by `main`, carried out by `cli`.

use std::ffi::OsString;
use std::path::PathBuf;

use failoverd::import::Kind;
use failoverd::settings::protocol_number;
use failoverd::text::nearest;
use failoverd::ubus_call::Packet;

use crate::shell::ubus::DEFAULT_SOCKET;

/// The configuration on OpenWrt.
const DEFAULT_CONFIG: &str = "/etc/config/failover";

/// What `--help` prints.
pub(super) const HELP: &str = "\
failoverd keeps a router online: it checks every internet uplink and moves the
default route to a reliable one.

Usage: failoverd COMMAND [OPTIONS]

  run                  check the uplinks and move the default route
      -c, --config FILE      configuration (/etc/config/failover)
      -f, --foreground       log to the terminal, not to syslog
      --record FILE          keep a trace of it all, of 8 MB at most
  status               show the uplinks; exit code 1 if none is reliable
      --json                 as the daemon tells it
  why [PROVIDER]       say why it is so, and what would change it
      --json                 as the daemon tells it
  watch                the same, drawn again every second
  route SRC DEST [PROTO PORT]
                       say which way a new connection takes; exit code 1 if
                       the kernel does not agree, or refuses it
      --json                 as the daemon tells it
  history PROVIDER     show a provider's last checks
      -n, --limit COUNT      the newest COUNT of them
      --json                 as the daemon tells it
  check [PROVIDER]     check now, and show the result
  pin PROVIDER         use this provider whatever the checks say
  unpin                end that
  reload               read the configuration again
  validate [FILE]      say what a configuration means, or what is wrong with it
  simulate TRACE       say what would have come of a trace
      -c, --config FILE      with this configuration (/etc/config/failover)
  init                 find the lines to the internet, write them as providers
      -c, --config FILE      where to (/etc/config/failover)
      --from KIND [FILE]     translate the configuration of mwan3,
                             linux_failover or fault_tolerant_router instead
      --force                replace the providers that are there
      --dry-run              print what would be written
  cleanup              take everything of failoverd out of the kernel
  notify-test          send the scripts in /etc/hotplug.d/failover a test event
  help                 print this

All that talk to the daemon: -s, --socket PATH   ubus (/var/run/ubus/ubus.sock)
      -h, --help   -V, --version

Exit codes: 0 fine, 1 it is not, 2 usage or bad configuration, 3 no daemon.
";

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Be the daemon.
    Run(RunOptions),
    /// Print the status.
    Status { socket: PathBuf, json: bool },
    /// Print why it is so.
    Why { socket: PathBuf, provider: Option<String>, json: bool },
    /// Print which way a packet takes.
    Route { socket: PathBuf, packet: Packet, json: bool },
    /// Print it again and again.
    Watch { socket: PathBuf },
    /// Print a provider's last checks.
    History { socket: PathBuf, provider: String, limit: Option<u32>, json: bool },
    /// Ask for a check.
    Check { socket: PathBuf, provider: Option<String> },
    /// Pin a provider.
    Pin { socket: PathBuf, provider: String },
    /// Unpin.
    Unpin { socket: PathBuf },
    /// Have the configuration read again.
    Reload { socket: PathBuf },
    /// Check a configuration.
    Validate { file: PathBuf },
    /// Live through a trace again.
    Simulate { config: PathBuf, trace: PathBuf },
    /// Write a first configuration.
    Init(InitOptions),
    /// Take everything of ours out of the kernel.
    Cleanup,
    /// Send the hotplug scripts a test event.
    NotifyTest { socket: PathBuf },
    /// Print the version.
    Version,
    /// Print how to use it.
    Help,
}

/// The options of `run`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RunOptions {
    /// `-c`
    pub(crate) config: PathBuf,
    /// `-s`
    pub(crate) socket: PathBuf,
    /// `-f`: log to stderr.
    pub(crate) foreground: bool,
    /// `--record`
    pub(crate) record: Option<PathBuf>,
}

/// The options of `init`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InitOptions {
    /// `-c`
    pub(crate) config: PathBuf,
    /// `-s`
    pub(crate) socket: PathBuf,
    /// `--from`, and the file to translate.
    pub(crate) from: Option<(Kind, PathBuf)>,
    /// `--force`
    pub(crate) force: bool,
    /// `--dry-run`
    pub(crate) dry_run: bool,
}

/// An option, by its long name.
type Opt = &'static str;

/// Every command with the options it takes and the most words that may follow it.
const COMMANDS: [(&str, &[Opt], usize); 16] = [
    ("run", &["config", "socket", "foreground", "record"], 0),
    ("status", &["json", "socket"], 0),
    ("why", &["json", "socket"], 1),
    ("watch", &["socket"], 0),
    ("route", &["json", "socket"], 4),
    ("history", &["json", "limit", "socket"], 1),
    ("check", &["socket"], 1),
    ("pin", &["socket"], 1),
    ("unpin", &["socket"], 0),
    ("reload", &["socket"], 0),
    ("validate", &[], 1),
    ("simulate", &["config"], 1),
    ("init", &["config", "socket", "from", "force", "dry-run"], 1),
    ("cleanup", &[], 0),
    ("notify-test", &["socket"], 0),
    ("help", &[], 1),
];

const OPTIONS: [(Opt, Option<char>); 11] = [
    ("config", Some('c')),
    ("socket", Some('s')),
    ("foreground", Some('f')),
    ("record", None),
    ("json", None),
    ("limit", Some('n')),
    ("from", None),
    ("force", None),
    ("dry-run", None),
    ("help", Some('h')),
    ("version", Some('V')),
];

/// What was typed.
#[derive(Default)]
struct Typed {
    words: Vec<OsString>,
    options: Vec<Opt>,
    config: Option<PathBuf>,
    socket: Option<PathBuf>,
    limit: Option<u32>,
    from: Option<OsString>,
    record: Option<PathBuf>,
}

/// Reads the command line, without the program's name. An error is a sentence for the person who typed it.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
    typed(lexopt::Parser::from_args(arguments)).map_err(sentence).and_then(meaning)
}

/// What lexopt would say; it shows values by `{:?}`, which shows nothing where flash is scarce (`cross/compile`).
fn sentence(error: lexopt::Error) -> String {
    use lexopt::Error::{NonUnicodeValue, ParsingFailed, UnexpectedValue};
    match error {
        UnexpectedValue { option, value } => {
            format!("unexpected argument for option '{option}': \"{}\"", value.display())
        }
        ParsingFailed { value, error } => format!("cannot parse argument \"{value}\": {error}"),
        NonUnicodeValue(value) => format!("argument is invalid unicode: \"{}\"", value.display()),
        error => error.to_string(),
    }
}

fn typed(mut parser: lexopt::Parser) -> Result<Typed, lexopt::Error> {
    use lexopt::prelude::*;
    let mut typed = Typed::default();
    while let Some(argument) = parser.next()? {
        let option = match &argument {
            Value(word) => {
                typed.words.push(word.clone());
                continue;
            }
            Short(letter) => OPTIONS.iter().find(|(_, short)| short == &Some(*letter)),
            Long(name) => OPTIONS.iter().find(|(long, _)| long == name),
        };
        let Some((option, _)) = option else {
            let Long(name) = argument else { return Err(argument.unexpected()) };
            let near = nearest(name, OPTIONS.iter().map(|(long, _)| *long));
            let hint = near.map(|near| format!(" (did you mean '--{near}'?)")).unwrap_or_default();
            return Err(format!("unknown option '--{name}'{hint}").into());
        };
        typed.options.push(option);
        match *option {
            "config" => typed.config = Some(parser.value()?.into()),
            "socket" => typed.socket = Some(parser.value()?.into()),
            "record" => typed.record = Some(parser.value()?.into()),
            "from" => typed.from = Some(parser.value()?),
            "limit" => typed.limit = Some(parser.value()?.parse()?),
            _ => {}
        }
    }
    Ok(typed)
}

fn meaning(typed: Typed) -> Result<Command, String> {
    if typed.options.contains(&"help") {
        return Ok(Command::Help);
    }
    if typed.options.contains(&"version") {
        return Ok(Command::Version);
    }
    let mut words = typed.words.into_iter();
    let name = words.next().ok_or("what is to be done? A command is missing")?;
    let name = name.to_string_lossy();
    let Some((name, options, most)) = COMMANDS.iter().find(|(command, ..)| *command == name) else {
        let near = nearest(&name, COMMANDS.iter().map(|(command, ..)| *command));
        let hint = near.map(|near| format!(" (did you mean '{near}'?)")).unwrap_or_default();
        return Err(format!("unknown command '{name}'{hint}"));
    };
    if let Some(option) = typed.options.iter().find(|option| !options.contains(*option)) {
        return Err(format!("'{name}' takes no option '--{option}'"));
    }
    if let Some(word) = words.as_slice().get(*most) {
        return Err(format!("'{name}' has nothing to do with '{}'", word.to_string_lossy()));
    }
    let json = typed.options.contains(&"json");
    let socket = typed.socket.unwrap_or_else(|| DEFAULT_SOCKET.into());
    if *name == "route" {
        return Ok(Command::Route { socket, packet: packet(words)?, json });
    }
    let word = words.next();
    // Names of providers are UCI names: what is no UTF-8 matches none of them.
    let provider = || word.as_ref().map(|word| word.to_string_lossy().into_owned());
    let required = || provider().ok_or_else(|| format!("'{name}' needs the name of a provider"));
    let config = |given: Option<PathBuf>| given.unwrap_or_else(|| DEFAULT_CONFIG.into());
    Ok(match *name {
        "run" => {
            let foreground = typed.options.contains(&"foreground");
            Command::Run(RunOptions { config: config(typed.config), socket, foreground, record: typed.record })
        }
        "status" => Command::Status { socket, json },
        "why" => Command::Why { socket, provider: provider(), json },
        "watch" => Command::Watch { socket },
        "history" => Command::History { socket, provider: required()?, limit: typed.limit, json },
        "check" => Command::Check { socket, provider: provider() },
        "pin" => Command::Pin { socket, provider: required()? },
        "unpin" => Command::Unpin { socket },
        "reload" => Command::Reload { socket },
        "validate" => Command::Validate { file: config(word.map(PathBuf::from)) },
        "simulate" => {
            let trace = word.ok_or("'simulate' needs a trace, as 'run --record FILE' makes one")?.into();
            Command::Simulate { config: config(typed.config), trace }
        }
        "init" => {
            let from = typed.from.map(|kind| source(&kind, word.as_ref())).transpose()?;
            if let (None, Some(word)) = (&from, &word) {
                return Err(format!("'init' has nothing to do with '{}' without --from", word.to_string_lossy()));
            }
            let given = |option| typed.options.contains(&option);
            let (force, dry_run) = (given("force"), given("dry-run"));
            Command::Init(InitOptions { config: config(typed.config), socket, from, force, dry_run })
        }
        "cleanup" => Command::Cleanup,
        "notify-test" => Command::NotifyTest { socket },
        _ => Command::Help,
    })
}

/// What `route` is asked about.
fn packet(words: impl Iterator<Item = OsString>) -> Result<Packet, String> {
    let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    let address = |word: &str| word.parse().map_err(|_| format!("'{word}' is no IPv4 address"));
    let protocol = |word: &str| {
        protocol_number(word).ok_or_else(|| format!("'{word}' is no protocol: tcp, udp, icmp or a number"))
    };
    let port = |word: &str| word.parse().map_err(|_| format!("'{word}' is no port"));
    let mut words = words.iter().map(String::as_str);
    let (Some(source), Some(destination)) = (words.next(), words.next()) else {
        return Err("'route' needs two addresses: where from and where to".to_owned());
    };
    Ok(Packet {
        source: address(source)?,
        destination: address(destination)?,
        protocol: words.next().map(protocol).transpose()?,
        port: words.next().map(port).transpose()?,
    })
}

/// What `--from` names, and where that is.
fn source(kind: &OsString, file: Option<&OsString>) -> Result<(Kind, PathBuf), String> {
    let typed = kind.to_string_lossy();
    let Some(kind) = Kind::from_name(&typed) else {
        let names = Kind::ALL.map(Kind::name);
        let near = nearest(&typed, names.into_iter()).map(|near| format!(" (did you mean '{near}'?)"));
        let near = near.unwrap_or_default();
        return Err(format!("'--from {typed}' is not known{near}: there are {}", names.join(", ")));
    };
    let file = file.map(PathBuf::from).or_else(|| kind.default_file().map(PathBuf::from));
    file.map(|file| (kind, file)).ok_or_else(|| format!("'--from {typed}' needs the file to translate"))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn parsed(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn every_command_is_understood() {
        let socket = || PathBuf::from(DEFAULT_SOCKET);
        let run = |config: &str, socket: &str, foreground| {
            Command::Run(RunOptions { config: config.into(), socket: socket.into(), foreground, record: None })
        };
        let recording = RunOptions {
            config: DEFAULT_CONFIG.into(),
            socket: socket(),
            foreground: false,
            record: Some("trace".into()),
        };
        let simulate = |config: &str| Command::Simulate { config: config.into(), trace: "trace".into() };
        let (source, destination) = (Ipv4Addr::new(10, 0, 0, 2), Ipv4Addr::new(192, 0, 2, 1));
        let route = |protocol, port, json| {
            let packet = Packet { source, destination, protocol, port };
            Command::Route { socket: socket(), packet, json }
        };
        let history = |limit, json| Command::History { socket: socket(), provider: "lte".into(), limit, json };
        let init = |from: Option<(Kind, &str)>, force, dry_run| {
            let from = from.map(|(kind, file)| (kind, file.into()));
            Command::Init(InitOptions { config: DEFAULT_CONFIG.into(), socket: socket(), from, force, dry_run })
        };
        for (line, command) in [
            ("run", run(DEFAULT_CONFIG, DEFAULT_SOCKET, false)),
            ("run -c a -s b -f", run("a", "b", true)),
            ("-fc a run --socket=b", run("a", "b", true)),
            ("run --config a --foreground", run("a", DEFAULT_SOCKET, true)),
            ("run --record trace", Command::Run(recording)),
            ("simulate trace", simulate(DEFAULT_CONFIG)),
            ("simulate -c a trace", simulate("a")),
            ("status", Command::Status { socket: socket(), json: false }),
            ("status --json -s b", Command::Status { socket: "b".into(), json: true }),
            ("why", Command::Why { socket: socket(), provider: None, json: false }),
            ("why lte --json", Command::Why { socket: socket(), provider: Some("lte".into()), json: true }),
            ("watch", Command::Watch { socket: socket() }),
            ("route 10.0.0.2 192.0.2.1", route(None, None, false)),
            ("route --json 10.0.0.2 192.0.2.1 tcp 443", route(Some(6), Some(443), true)),
            ("route 10.0.0.2 192.0.2.1 47", route(Some(47), None, false)),
            ("history lte", history(None, false)),
            ("history -n 5 lte --json", history(Some(5), true)),
            ("history lte --limit=5", history(Some(5), false)),
            ("check", Command::Check { socket: socket(), provider: None }),
            ("check lte", Command::Check { socket: socket(), provider: Some("lte".into()) }),
            ("pin lte", Command::Pin { socket: socket(), provider: "lte".into() }),
            ("unpin", Command::Unpin { socket: socket() }),
            ("reload", Command::Reload { socket: socket() }),
            ("validate", Command::Validate { file: DEFAULT_CONFIG.into() }),
            ("validate -- -x", Command::Validate { file: "-x".into() }),
            ("init", init(None, false, false)),
            ("init --force --dry-run", init(None, true, true)),
            ("init --from mwan3", init(Some((Kind::Mwan3, "/etc/config/mwan3")), false, false)),
            ("init --from linux_failover x.py", init(Some((Kind::LinuxFailover, "x.py")), false, false)),
            ("cleanup", Command::Cleanup),
            ("notify-test", Command::NotifyTest { socket: socket() }),
            ("notify-test -s b", Command::NotifyTest { socket: "b".into() }),
            ("help", Command::Help),
            ("help status", Command::Help),
            ("status --help", Command::Help),
            ("-h", Command::Help),
            ("--version", Command::Version),
            ("-V", Command::Version),
        ] {
            assert_eq!(parsed(line), Ok(command), "{line}");
        }
    }

    #[test]
    fn mistakes_get_a_sentence() {
        for (line, sentence) in [
            ("", "what is to be done? A command is missing"),
            ("statsu", "unknown command 'statsu' (did you mean 'status'?)"),
            ("staus", "unknown command 'staus' (did you mean 'status'?)"),
            ("initt", "unknown command 'initt' (did you mean 'init'?)"),
            ("init mwan3", "'init' has nothing to do with 'mwan3' without --from"),
            (
                "init --from mwan",
                "'--from mwan' is not known (did you mean 'mwan3'?): there are mwan3, linux_failover, fault_tolerant_router",
            ),
            ("init --from", "missing argument for option '--from'"),
            ("x", "unknown command 'x'"),
            ("frobnicate", "unknown command 'frobnicate'"),
            ("pin", "'pin' needs the name of a provider"),
            ("history -n 3", "'history' needs the name of a provider"),
            ("simulate", "'simulate' needs a trace, as 'run --record FILE' makes one"),
            ("route 10.0.0.2", "'route' needs two addresses: where from and where to"),
            ("route lan 192.0.2.1", "'lan' is no IPv4 address"),
            ("route 10.0.0.2 2001:db8::1", "'2001:db8::1' is no IPv4 address"),
            ("route 10.0.0.2 192.0.2.1 http 80", "'http' is no protocol: tcp, udp, icmp or a number"),
            ("route 10.0.0.2 192.0.2.1 tcp 70000", "'70000' is no port"),
            ("route 10.0.0.2 192.0.2.1 tcp 80 x", "'route' has nothing to do with 'x'"),
            ("simulate a b", "'simulate' has nothing to do with 'b'"),
            ("simulate a --record b", "'simulate' takes no option '--record'"),
            ("pin a b", "'pin' has nothing to do with 'b'"),
            ("status lte", "'status' has nothing to do with 'lte'"),
            ("cleanup -s x", "'cleanup' takes no option '--socket'"),
            ("pin lte --json", "'pin' takes no option '--json'"),
            ("status --jsno", "unknown option '--jsno' (did you mean '--json'?)"),
            ("status -x", "invalid option '-x'"),
            ("run -c", "missing argument for option '-c'"),
        ] {
            assert_eq!(parsed(line), Err(sentence.to_owned()), "{line}");
        }
        for line in ["history a -n -1", "history a -n many", "status --json=yes"] {
            let own = typed(lexopt::Parser::from_args(line.split_whitespace())).err().map(|error| error.to_string());
            assert!(own.is_some() && parsed(line).err() == own, "{line}: as lexopt says it");
        }
    }

    #[test]
    fn the_help_names_every_command_and_fits() {
        for (command, options, _) in COMMANDS {
            assert!(HELP.contains(&format!("\n  {command} ")), "{command}");
            assert!(options.iter().all(|option| HELP.contains(&format!("--{option}"))), "{command}");
        }
        assert!(HELP.lines().all(|line| line.len() <= 80));
    }
}
