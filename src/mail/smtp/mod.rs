//! Delivery to a mail server over SMTP: [`SmtpCourier`] keeps the deadline, the session talks to the server.

mod courier;
mod job;
mod session;
mod stuffed;

pub use courier::{SmtpCourier, Transcript};
