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
mod smtp;
mod strategy;
mod transport;
mod web;

pub use attached::{AttachedOutput, attached_output};
pub use courier::{Courier, Deadline, NextStep, Outgoing};
pub use deliver::{Delivery, KEPT_MAIL, MailMode, deliver, deliver_with};
pub use eml_folder::EmlFolder;
pub use message::{Addressing, Attachment, FinishedMessage, MessageError, conversation_key, finish};
pub use render::{RenderContext, Rendered, render};
pub use settings::{InvalidVariable, MailSettings, MailSettingsError, MailTls, SignIn, TokenSource, configured_sender};
pub use smtp::SmtpTransport;
pub use strategy::{is_due, mentioned};
pub use transport::{Accepted, DeliveryError, DeliveryFailure, Refused, Stage, Transport};
pub use web::{WebRequest, WebSlot, call, ping_body, start_body, webhook_body};
