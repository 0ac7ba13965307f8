//! failoverd, the daemon and its command line. Decisions are in the library; what touches the world is in `shell`.

mod shell;

fn main() -> std::process::ExitCode {
    shell::cli::main(std::env::args_os().skip(1))
}
