//! Mail: what a run's summary says ([`render()`]), the finished message ([`make()`]), how it is sent ([`Courier`]), and whether at all
//! ([`is_due`]). Knows reports and events; it runs nothing, and whatever happens here never fails a run.

mod attached;
mod courier;
mod delivery;
mod eml_folder;
mod explain;
mod http;
mod make;
mod message;
mod render;
mod settings;
mod sign_in;
mod smtp;
mod strategy;
mod trial;
mod web;

pub use attached::{AttachedOutput, attached_output};
pub use courier::{Courier, Deadline, NextStep, Outgoing};
pub use delivery::{Accepted, DeliveryError, DeliveryFailure, Refused, Stage};
pub use eml_folder::EmlFolder;
pub(crate) use eml_folder::write_whole;
pub use make::{Delivery, Details, KEPT_MAIL, MailMode, make};
pub use message::{Addressing, Attachment, FinishedMessage, MessageError, conversation_key, finish, finish_alarm};
pub use render::{Alarm, Missing, RenderContext, Rendered, Trouble, render, render_alarm};
pub use settings::{
    InvalidVariable, MailSettings, MailSettingsError, MailTls, SignIn, TokenSource, configured_login, configured_sender,
};
pub(crate) use sign_in::NoTokens;
pub use sign_in::{DeviceCode, SignedIn, Tokens};
pub use smtp::{SmtpCourier, Transcript};
pub use strategy::{digest_times, is_call_due, is_digest_due, is_due, mentioned};
pub use trial::trial;
pub use web::{WebRequest, WebSlot, alarm_body, call, ping_body, start_body, webhook_body};
