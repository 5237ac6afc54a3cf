//! The outbox at work: who delivers what waits in it, when, and what becomes of it. Renders nothing, and never keeps a
//! credential: whoever delivers reads the settings of the project whose mail it is.

mod carry;
mod decide;
mod drain;
mod kept;
mod lock;
mod post;
mod readdress;
mod sender;
mod settle;
mod turn;

pub use carry::send_now;
pub use drain::Force;
pub use kept::{KEPT_ENVELOPE, keep};
pub use post::{Couriers, Dotenv, Outbox, SmtpCouriers};
pub use settle::mail_state;
pub(crate) use settle::tell_events;
