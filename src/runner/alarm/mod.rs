//! The alarm: a project that should have run and didn't is mailed, by whoever notices: the daemon, or the next command that
//! runs or mails.

mod addressee;
mod decide;
mod look;
mod raise;

pub(crate) use decide::AGAIN;
pub(crate) use look::{
    About, FindProject, Known, News, Overdue, is_here, load as load_as_it_is, news_in_words, overdue, standing_alarm,
};
pub(crate) use raise::{AlarmRequest, raise_alarms, send_alarms};
