//! Telling the service control manager how the daemon fares ("SetServiceStatus"), where it runs as a service; else nobody hears it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use windows_service::service::{ServiceControlAccept, ServiceExitCode, ServiceState, ServiceStatus, ServiceType};
use windows_service::service_control_handler::ServiceStatusHandle;

/// How long the manager waits for the next sign of life of a service that begins or ends.
const PATIENCE: Duration = Duration::from_secs(30);

static SERVICE: OnceLock<ServiceStatusHandle> = OnceLock::new();
static IS_ENDING: AtomicBool = AtomicBool::new(false);
/// Grows with each sign of life.
static CHECKPOINT: AtomicU32 = AtomicU32::new(1);

/// From now on the manager is told by this.
pub(super) fn begin(service: ServiceStatusHandle) {
    let _ = SERVICE.set(service);
    pending(ServiceState::StartPending);
}

/// The daemon has ended; the process may be gone right after this.
pub(super) fn ended(code: u32) {
    let exit = if code == 0 { ServiceExitCode::NO_ERROR } else { ServiceExitCode::ServiceSpecific(code) };
    tell(ServiceState::Stopped, ServiceControlAccept::empty(), exit, 0, Duration::ZERO);
}

/// The daemon has looked at everything, and does its work from now on.
pub(in crate::daemon) fn ready() {
    if IS_ENDING.load(Ordering::Acquire) {
        return;
    }
    let accepted = ServiceControlAccept::STOP
        | ServiceControlAccept::PRESHUTDOWN
        | ServiceControlAccept::PARAM_CHANGE
        | ServiceControlAccept::TIME_CHANGE
        | ServiceControlAccept::POWER_EVENT;
    tell(ServiceState::Running, accepted, ServiceExitCode::NO_ERROR, 0, Duration::ZERO);
}

/// The manager has no word for that.
pub(in crate::daemon) fn reloading() {}

/// It starts no more runs, and ends when those under way have.
pub(in crate::daemon) fn stopping() {
    IS_ENDING.store(true, Ordering::Release);
    pending(ServiceState::StopPending);
}

/// The manager shows no text.
pub(in crate::daemon) fn status(_text: &str) {}

/// It isn't stuck: the manager asks for that only while it ends.
pub(in crate::daemon) fn alive() {
    if IS_ENDING.load(Ordering::Acquire) {
        pending(ServiceState::StopPending);
    }
}

/// How often [`alive`] has to be told at least, if anybody waits for it.
pub(in crate::daemon) fn patience() -> Option<Duration> {
    (SERVICE.get().is_some() && IS_ENDING.load(Ordering::Acquire)).then_some(PATIENCE)
}

fn pending(state: ServiceState) {
    let checkpoint = CHECKPOINT.fetch_add(1, Ordering::AcqRel);
    tell(state, ServiceControlAccept::empty(), ServiceExitCode::NO_ERROR, checkpoint, PATIENCE);
}

fn tell(
    current_state: ServiceState,
    controls_accepted: ServiceControlAccept,
    exit_code: ServiceExitCode,
    checkpoint: u32,
    wait_hint: Duration,
) {
    let Some(service) = SERVICE.get() else { return };
    let service_type = ServiceType::OWN_PROCESS;
    let status = ServiceStatus {
        service_type,
        current_state,
        controls_accepted,
        exit_code,
        checkpoint,
        wait_hint,
        process_id: None,
    };
    if let Err(error) = service.set_service_status(status) {
        tracing::warn!("the service control manager can't be told how the service fares: {error:?}");
    }
}
