//! Where mails go out and who signs in: read from the environment and the `.env` files, checked, never shown.
//!
//! This is the only place that knows the variables' names. It reads one file, `MAIL_CA_FILE`, and connects to nothing.

mod error;
mod resolve;
mod types;
mod values;

#[cfg(test)]
mod tests;

pub use error::{InvalidVariable, MailSettingsError};
pub use resolve::{configured_login, configured_sender};
pub use types::{MailSettings, MailTls, SignIn, TokenSource};
