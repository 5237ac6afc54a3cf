//! Web addresses that are told how runs go: watchdogs, which notice when nothing comes, and chats. What is sent is made
//! at the run's end; the address, which may hold a secret, is read from the project when it is called, and never shown.

mod body;
mod call;
mod request;

pub use body::{alarm_body, ping_body, start_body, webhook_body};
pub use call::call;
pub use request::{WebRequest, WebSlot};
