//! Mail: what a run's summary says ([`render()`]), to whom and how it is sent ([`deliver()`]), and whether at all
//! ([`is_due`]). Knows reports and events; it runs nothing, and whatever happens here never fails a run.

mod attached;
mod courier;
mod deliver;
mod eml_folder;
mod explain;
mod http;
mod message;
mod render;
mod settings;
mod sign_in;
mod smtp;
mod strategy;
mod transport;
mod trial;
mod web;

pub use attached::{AttachedOutput, attached_output};
pub use courier::{Courier, Deadline, NextStep, Outgoing};
pub use deliver::{Delivery, Details, KEPT_MAIL, MailMode, deliver, deliver_with, make};
pub use eml_folder::EmlFolder;
pub(crate) use eml_folder::write_whole;
pub use message::{Addressing, Attachment, FinishedMessage, MessageError, conversation_key, finish};
pub use render::{RenderContext, Rendered, render};
pub use settings::{
    InvalidVariable, MailSettings, MailSettingsError, MailTls, SignIn, TokenSource, configured_login, configured_sender,
};
pub use sign_in::{DeviceCode, SignedIn, Tokens};
pub(crate) use smtp::NoTokens;
pub use smtp::{SmtpCourier, SmtpTransport, Transcript};
pub use strategy::{is_call_due, is_due, mentioned};
pub use transport::{Accepted, DeliveryError, DeliveryFailure, Refused, Stage, Transport};
pub use trial::trial;
pub use web::{WebRequest, WebSlot, call, ping_body, start_body, webhook_body};
