//! Delivery to a mail server over SMTP: [`SmtpCourier`] keeps the deadline, the session talks to the server.

mod courier;
mod job;
mod session;
mod stuffed;
mod transport;

pub use courier::{SmtpCourier, Transcript};
pub(crate) use transport::NoTokens;
pub use transport::SmtpTransport;
