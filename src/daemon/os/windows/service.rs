//! The daemon as a service of Windows: its entry, and how it is set up ("Service Programs" and "Service Configuration Programs").
#![allow(unsafe_code)]

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use windows_service::service::{
    PowerEventParam, Service, ServiceAccess, ServiceAction, ServiceActionType, ServiceControl, ServiceErrorControl,
    ServiceFailureActions, ServiceFailureResetPeriod, ServiceInfo, ServiceStartType, ServiceState, ServiceType,
};
use windows_service::service_control_handler::{self, ServiceControlHandlerResult};
use windows_service::service_manager::{ServiceManager, ServiceManagerAccess};
use windows_service::{Error, define_windows_service, service_dispatcher};

use super::manager;
use crate::daemon::control::{Control, Orders, control};

/// The service's name.
pub const SERVICE: &str = "project-runner";
/// What consoles call it.
const DISPLAY: &str = "Project Runner";
const DESCRIPTION: &str = "Runs projects when their schedules say so.";
/// After how long it is started again when it has failed for the first, second and any further time on a day.
pub const RESTARTS: [Duration; 3] = [Duration::from_secs(5), Duration::from_secs(30), Duration::from_secs(60)];
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long after the runs have been interrupted a machine that shuts down goes on waiting.
const AFTER_DRAIN: Duration = Duration::from_secs(60);

/// "The specified service does not exist as an installed service." (winerror.h)
const DOES_NOT_EXIST: i32 = 1060;

/// What a service does: it returns its exit code.
type Work = Box<dyn FnOnce(&Control, &Orders) -> u32 + Send>;

static WORK: Mutex<Option<Work>> = Mutex::new(None);

define_windows_service!(service_main, begin);

/// Does `work` as the service that the manager has started this process for; blocks until that has ended.
///
/// # Errors
/// In a sentence, when this process isn't a service.
pub fn serve(work: impl FnOnce(&Control, &Orders) -> u32 + Send + 'static) -> Result<(), String> {
    *WORK.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(work));
    service_dispatcher::start(SERVICE, service_main)
        .map_err(|error| sentence("only the service control manager starts it like this", &error))
}

fn begin(_arguments: Vec<OsString>) {
    let Some(work) = WORK.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
    let (control, orders) = control();
    let heard = control.clone();
    match service_control_handler::register(SERVICE, move |what| hear(&heard, &what)) {
        Ok(service) => manager::begin(service),
        Err(error) => return tracing::error!("{}", sentence("the service can't be steered", &error)),
    }
    manager::ended(work(&control, &orders));
}

fn hear(control: &Control, what: &ServiceControl) -> ServiceControlHandlerResult {
    match what {
        ServiceControl::Stop => control.stop("the service is stopped"),
        ServiceControl::Preshutdown | ServiceControl::Shutdown => control.stop("the machine shuts down"),
        ServiceControl::ParamChange => control.reload(),
        ServiceControl::TimeChange
        | ServiceControl::PowerEvent(PowerEventParam::ResumeAutomatic | PowerEventParam::ResumeSuspend) => {
            control.clock_set();
        }
        ServiceControl::Interrogate | ServiceControl::PowerEvent(_) => {}
        _ => return ServiceControlHandlerResult::NotImplemented,
    }
    ServiceControlHandlerResult::NoError
}

/// How the service is set up.
#[derive(Debug)]
pub struct ServiceSetup {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// The account that it runs as.
    pub account: String,
    /// Its password: empty for the system's own accounts, `None` for virtual and managed ones ("CreateServiceW", lpPassword).
    pub password: Option<String>,
    /// How long runs may go on once the machine shuts down.
    pub drain_timeout: Duration,
}

/// Sets the service up anew, or as it is to be from now on, and starts it. Returns sentences about what this system doesn't let
/// be set up.
///
/// # Errors
/// In a sentence.
pub fn install_service(setup: &ServiceSetup) -> Result<Vec<String>, String> {
    let info = ServiceInfo {
        name: SERVICE.into(),
        display_name: DISPLAY.into(),
        service_type: ServiceType::OWN_PROCESS,
        start_type: ServiceStartType::AutoStart,
        error_control: ServiceErrorControl::Normal,
        executable_path: setup.program.clone(),
        launch_arguments: setup.arguments.clone(),
        dependencies: Vec::new(),
        account_name: Some((&setup.account).into()),
        account_password: setup.password.as_ref().map(Into::into),
    };
    let manager = open_manager(ServiceManagerAccess::CONNECT | ServiceManagerAccess::CREATE_SERVICE)?;
    let access =
        ServiceAccess::CHANGE_CONFIG | ServiceAccess::START | ServiceAccess::STOP | ServiceAccess::QUERY_STATUS;
    let service = match manager.open_service(SERVICE, access) {
        Ok(service) => {
            stop(&service)?;
            service.change_config(&info).map_err(|error| sentence("the service can't be changed", &error))?;
            service
        }
        Err(Error::Winapi(error)) if error.raw_os_error() == Some(DOES_NOT_EXIST) => {
            manager.create_service(&info, access).map_err(|error| sentence("the service can't be made", &error))?
        }
        Err(error) => return Err(sentence("the service can't be opened", &error)),
    };
    let restart = |delay| ServiceAction { action_type: ServiceActionType::Restart, delay };
    let failures = ServiceFailureActions {
        reset_period: ServiceFailureResetPeriod::After(DAY),
        reboot_msg: None,
        command: None,
        actions: Some(RESTARTS.map(restart).to_vec()),
    };
    // The service does its work without any of these, which not every system knows.
    let settings = [
        ("description", service.set_description(DESCRIPTION)),
        ("delayed start", service.set_delayed_auto_start(true)),
        ("restart when it fails", service.update_failure_actions(failures)),
        // Also when it ends by itself because it couldn't work.
        ("restart when it ends by itself", service.set_failure_actions_on_non_crash_failures(true)),
        ("time at shutdown", service.set_preshutdown_timeout(setup.drain_timeout.saturating_add(AFTER_DRAIN))),
    ];
    let unset = settings.into_iter().filter_map(|(what, set)| {
        set.err().map(|error| sentence(&format!("the service's {what} can't be set up"), &error))
    });
    let unset = unset.collect();
    let started = service.start::<OsString>(&[]);
    started.map(|()| unset).map_err(|error| sentence("the service is set up, but can't be started", &error))
}

/// Ends the service and takes it away; false if there is none.
///
/// # Errors
/// In a sentence.
pub fn uninstall_service(patience: Duration) -> Result<bool, String> {
    let manager = open_manager(ServiceManagerAccess::CONNECT)?;
    let access = ServiceAccess::STOP | ServiceAccess::QUERY_STATUS | ServiceAccess::DELETE;
    let service = match manager.open_service(SERVICE, access) {
        Ok(service) => service,
        Err(Error::Winapi(error)) if error.raw_os_error() == Some(DOES_NOT_EXIST) => return Ok(false),
        Err(error) => return Err(sentence("the service can't be opened", &error)),
    };
    // It is gone once it has ended, also if that takes longer than one waits here.
    let stopped = stop_within(&service, patience);
    service.delete().map_err(|error| sentence("the service can't be deleted", &error))?;
    stopped.map(|()| true)
}

fn open_manager(access: ServiceManagerAccess) -> Result<ServiceManager, String> {
    ServiceManager::local_computer(None::<&str>, access)
        .map_err(|error| sentence("the service control manager can't be asked (this needs an administrator)", &error))
}

fn stop(service: &Service) -> Result<(), String> {
    stop_within(service, Duration::from_secs(600))
}

/// Waits for its end: its runs go on until theirs, as far as it lets them.
fn stop_within(service: &Service, patience: Duration) -> Result<(), String> {
    let begin = Instant::now();
    loop {
        let status =
            service.query_status().map_err(|error| sentence("the service can't be asked how it fares", &error))?;
        match status.current_state {
            ServiceState::Stopped => return Ok(()),
            ServiceState::StopPending => {}
            _ => drop(service.stop().map_err(|error| sentence("the service can't be stopped", &error))?),
        }
        if begin.elapsed() > patience {
            return Err("the service hasn't ended yet, since runs are under way; it ends when they have".to_owned());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn sentence(what: &str, error: &Error) -> String {
    match error {
        Error::Winapi(error) => format!("{what}: {error}"),
        error => format!("{what}: {error}"),
    }
}
