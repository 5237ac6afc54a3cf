//! Windows: a folder's access list, which the files in it have too.
#![allow(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::ffi::OsStrExt;
use std::path::Path;

use windows_sys::Win32::Foundation::LocalFree;
use windows_sys::Win32::Security::Authorization::{
    ConvertStringSecurityDescriptorToSecurityDescriptorW, SDDL_REVISION_1,
};
use windows_sys::Win32::Security::{PSECURITY_DESCRIPTOR, SECURITY_ATTRIBUTES};
use windows_sys::Win32::Storage::FileSystem::CreateDirectoryW;

/// Nothing from the folder above; everything for the owner, the system and administrators, also in what is made inside.
/// <https://learn.microsoft.com/windows/win32/secauthz/security-descriptor-string-format>
const PRIVATE: &str = "D:P(A;OICI;FA;;;OW)(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)\0";

/// Makes a folder that only this account and the machine's administrators can enter.
pub(in crate::runner) fn make_private_dir(dir: &Path) -> io::Result<()> {
    let path: Vec<u16> = dir.as_os_str().encode_wide().chain([0]).collect();
    let wanted: Vec<u16> = PRIVATE.encode_utf16().collect();
    let mut descriptor: PSECURITY_DESCRIPTOR = std::ptr::null_mut();
    // SAFETY: both texts end with a NUL and live on; the descriptor is written to a variable of that type, is used only if
    // there is one, and is freed once, after its last use. The size of it isn't asked for.
    unsafe {
        let converted = ConvertStringSecurityDescriptorToSecurityDescriptorW(
            wanted.as_ptr(),
            SDDL_REVISION_1,
            &raw mut descriptor,
            std::ptr::null_mut(),
        );
        if converted == 0 {
            return Err(io::Error::last_os_error());
        }
        let attributes = SECURITY_ATTRIBUTES {
            nLength: size_of::<SECURITY_ATTRIBUTES>() as u32,
            lpSecurityDescriptor: descriptor,
            bInheritHandle: 0,
        };
        let made = CreateDirectoryW(path.as_ptr(), &raw const attributes);
        let result = if made == 0 { Err(io::Error::last_os_error()) } else { Ok(()) };
        LocalFree(descriptor);
        result
    }
}

/// Makes a file; it has the access list of its folder.
pub(in crate::runner) fn new_private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

/// A folder that could be made so is so; file systems without access lists aren't told apart.
pub(in crate::runner) fn is_private(path: &Path) -> bool {
    path.exists()
}
