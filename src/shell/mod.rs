//! Everything that touches the world. (A stand-in: the event loop comes from elsewhere.)

pub(crate) mod cli;
pub(crate) mod ubus;

use std::path::Path;

use cli::{Exit, RunOptions};
use failoverd::status::Status;
use failoverd::ubus_call::{Call, UbusStatus};
use ubus::{Bus, BusEvent};

pub(crate) fn run(options: &RunOptions) -> Exit {
    log::debug!("{} {}", options.config.display(), options.foreground);
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return Exit::NotFine };
    runtime.block_on(async {
        let mut bus = Bus::new(&options.socket);
        loop {
            match bus.next().await {
                BusEvent::Request(request) => match request.call {
                    Call::Status { .. } => {
                        let status = Status { enabled: true, ..Status::default() };
                        let status = serde_json::to_value(status).map_err(|_| UbusStatus::UnknownError);
                        bus.reply(request.reply_to, status);
                    }
                    Call::Reload => {
                        let notice = failoverd::notice::Notice {
                            action: Some(failoverd::notice::NoticeAction::ConfigError),
                            provider: None,
                            from: None,
                            to: None,
                            reason: Some("a test".into()),
                            level: failoverd::notice::Level::Warning,
                        };
                        bus.notify(&notice);
                        bus.reply(request.reply_to, Ok(serde_json::Value::Null));
                    }
                    _ => bus.reply(request.reply_to, Ok(serde_json::Value::Null)),
                },
                BusEvent::Disconnected(reason) => cli::complain(&reason),
                BusEvent::Connected => cli::complain("connected"),
            }
        }
    })
}

pub(crate) fn validate(_file: &Path) -> Exit {
    Exit::NotFine
}

pub(crate) fn cleanup() -> Exit {
    Exit::NotFine
}
