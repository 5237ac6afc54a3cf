//! Who is alarmed of a project, and how: as its files have it or, if they can't be read, as they had it when it was last kept.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use super::look::Group;
use crate::config;
use crate::mail::{MailSettings, MailSettingsError, RenderContext};
use crate::model::{Contact, EmailStrategy, Language, MailOptions, Project};
use crate::outbox::{Couriers, Dotenv, SmtpCouriers};
use crate::store;

/// A project as far as its alarms go.
pub(super) struct Addressee {
    pub(super) name: String,
    root: PathBuf,
    pub(super) recipients: Vec<String>,
    pub(super) strategy: EmailStrategy,
    language: Language,
    pub(super) options: MailOptions,
    dotenv: Dotenv,
    next_planned: Option<DateTime<Utc>>,
}

impl Addressee {
    /// By its files. `kept`: the names of those of its schedules that somebody keeps.
    pub(super) fn of(project: &Project, kept: &[String], now: DateTime<Utc>) -> Self {
        Self {
            name: project.name.clone(),
            root: project.root.clone(),
            recipients: project.recipients.clone(),
            strategy: project.email_strategy,
            language: project.language,
            options: project.mail.clone(),
            dotenv: project.dotenv.clone(),
            next_planned: project.next_planned(now, |schedule| kept.contains(&schedule.name)),
        }
    }

    /// By what was kept. Nothing of it runs until its files are mended, so that nothing is planned next.
    pub(super) fn kept(contact: Contact, group: &Group) -> Self {
        Self {
            name: group.name.clone(),
            root: group.project_dir.clone(),
            options: contact.mail(),
            recipients: contact.recipients,
            strategy: contact.email_strategy,
            language: contact.language,
            // What is wrong with them too keeps the mail in the outbox, which says so.
            dotenv: config::dotenv_values(&group.project_dir).unwrap_or_default(),
            next_planned: None,
        }
    }

    pub(super) fn context(&self) -> RenderContext {
        RenderContext {
            language: self.language,
            next_planned: self.next_planned,
            subject_prefix: self.options.subject_prefix.clone(),
            ..RenderContext::default()
        }
    }

    /// By what its mails are sent. `own`: the project for which the environment of this process is meant, if it isn't meant
    /// for any.
    pub(super) fn settings(
        &self,
        couriers: &SmtpCouriers,
        own: Option<&Path>,
    ) -> Result<MailSettings, MailSettingsError> {
        if own.is_none_or(|own| store::is_same_folder(own, &self.root)) {
            couriers.settings(&self.dotenv)
        } else {
            couriers.settings_alone(&self.dotenv)
        }
    }
}
