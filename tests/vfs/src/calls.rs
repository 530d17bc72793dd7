//! The calls that SQLite makes, handed on to the traits.
//!
//! The unsafe half: it only turns pointers into references and slices, as the documentation of
//! `sqlite3_vfs` and `sqlite3_io_methods` allows, and decides nothing.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::mem::size_of;
use std::ptr::null_mut;
use std::slice;

use libsqlite3_sys as ffi;

use crate::{Answer, Code, File, Files, Kind, Lock, REGION_BYTES, Region, SlotLock};

/// Longest path, with its zero.
const PATH_MAX: usize = 512;
/// What SQLite's own files on Linux promise, and their sector size: see `setDeviceCharacteristics`.
const CHARACTERISTICS: c_int =
    ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE | ffi::SQLITE_IOCAP_SUBPAGE_READ;
const SECTOR: c_int = 4_096;

/// What is behind a registered name. Never freed.
struct Registered<F> {
    files: F,
    methods: ffi::sqlite3_io_methods,
}

/// What SQLite allocates for an open file: its own part, and where ours is.
#[repr(C)]
struct Slot<F> {
    base: ffi::sqlite3_file,
    open: *mut Open<F>,
}

struct Open<F> {
    file: F,
    /// The regions that SQLite has pointers into.
    regions: Vec<Option<Region>>,
}

pub(super) fn register<F: Files>(name: CString, files: F) -> c_int {
    let registered = Box::leak(Box::new(Registered {
        files,
        methods: methods::<F::File>(),
    }));
    let base = ffi::sqlite3_vfs {
        iVersion: 2,
        szOsFile: size_of::<Slot<F::File>>() as c_int,
        mxPathname: PATH_MAX as c_int,
        pNext: null_mut(),
        zName: name.into_raw(),
        pAppData: std::ptr::from_mut(registered).cast(),
        xOpen: Some(open::<F>),
        xDelete: Some(delete::<F>),
        xAccess: Some(access::<F>),
        xFullPathname: Some(full_path),
        xDlOpen: None,
        xDlError: None,
        xDlSym: None,
        xDlClose: None,
        xRandomness: Some(randomness),
        xSleep: Some(pause),
        xCurrentTime: Some(time),
        xGetLastError: Some(last_error),
        xCurrentTimeInt64: Some(time_in_ms),
        xSetSystemCall: None,
        xGetSystemCall: None,
        xNextSystemCall: None,
    };
    // SAFETY: both are never freed, and SQLite may change its part.
    unsafe { ffi::sqlite3_vfs_register(Box::leak(Box::new(base)), 0) }
}

pub fn set_system_error(number: c_int) {
    #[cfg(target_os = "linux")]
    {
        unsafe extern "C" {
            fn __errno_location() -> *mut c_int;
        }
        // SAFETY: it is this thread's own, and lives as long as the thread.
        unsafe { *__errno_location() = number };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = number;
}

fn methods<T: File>() -> ffi::sqlite3_io_methods {
    ffi::sqlite3_io_methods {
        iVersion: 2,
        xClose: Some(close::<T>),
        xRead: Some(read::<T>),
        xWrite: Some(write::<T>),
        xTruncate: Some(truncate::<T>),
        xSync: Some(flush::<T>),
        xFileSize: Some(length::<T>),
        xLock: Some(lock::<T>),
        xUnlock: Some(unlock::<T>),
        xCheckReservedLock: Some(is_reserved::<T>),
        xFileControl: Some(control),
        xSectorSize: Some(sector),
        xDeviceCharacteristics: Some(characteristics),
        xShmMap: Some(map::<T>),
        xShmLock: Some(lock_slots::<T>),
        xShmBarrier: Some(barrier),
        xShmUnmap: Some(unmap::<T>),
        xFetch: None,
        xUnfetch: None,
    }
}

fn code<T>(answer: Answer<T>) -> c_int {
    answer.map_or_else(|Code(code)| code, |_| ffi::SQLITE_OK)
}

/// # Safety
///
/// `vfs` is one that `register` made for the same `F`.
unsafe fn registered<'a, F>(vfs: *mut ffi::sqlite3_vfs) -> &'a Registered<F> {
    // SAFETY: `register` put it there, and nobody frees or changes it.
    unsafe { &*(*vfs).pAppData.cast::<Registered<F>>() }
}

/// # Safety
///
/// `file` is one that `open` filled in for the same `T`, and nobody else uses it meanwhile.
unsafe fn opened<'a, T>(file: *mut ffi::sqlite3_file) -> &'a mut Open<T> {
    // SAFETY: `open` put it there; `close` takes it away, and is the last call of all.
    unsafe { &mut *(*file.cast::<Slot<T>>()).open }
}

/// # Safety
///
/// `path` is null or ends with a zero.
unsafe fn text<'a>(path: *const c_char) -> Option<&'a str> {
    // SAFETY: as the caller promises.
    let path = (!path.is_null()).then(|| unsafe { CStr::from_ptr(path) });
    path.and_then(|path| path.to_str().ok())
}

unsafe extern "C" fn open<F: Files>(
    vfs: *mut ffi::sqlite3_vfs,
    path: *const c_char,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    flags_out: *mut c_int,
) -> c_int {
    let logs = ffi::SQLITE_OPEN_WAL | ffi::SQLITE_OPEN_MAIN_JOURNAL;
    let kind = match flags {
        _ if flags & ffi::SQLITE_OPEN_MAIN_DB != 0 => Kind::Database,
        _ if flags & logs != 0 => Kind::Log,
        _ => Kind::Temporary,
    };
    // SAFETY: SQLite hands in the file system that was registered, a path that ends with a zero,
    // and room for a slot. Without methods it does not close the file.
    unsafe {
        (*file).pMethods = std::ptr::null();
        let Registered { files, methods } = registered::<F>(vfs);
        let is_read_only = flags & ffi::SQLITE_OPEN_READONLY != 0;
        let opened = match files.open(text(path), kind, is_read_only) {
            Ok(file) => file,
            Err(Code(code)) => return code,
        };
        (*file.cast::<Slot<F::File>>()).open = Box::into_raw(Box::new(Open {
            file: opened,
            regions: Vec::new(),
        }));
        (*file).pMethods = methods;
        if !flags_out.is_null() {
            *flags_out = flags;
        }
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn delete<F: Files>(
    vfs: *mut ffi::sqlite3_vfs,
    path: *const c_char,
    is_flushed: c_int,
) -> c_int {
    // SAFETY: SQLite hands in the file system that was registered and a path.
    let (files, path) = unsafe { (&registered::<F>(vfs).files, text(path)) };
    let path = path.ok_or(Code(ffi::SQLITE_MISUSE));
    code(path.and_then(|path| files.delete(path, is_flushed != 0)))
}

unsafe extern "C" fn access<F: Files>(
    vfs: *mut ffi::sqlite3_vfs,
    path: *const c_char,
    _: c_int,
    is_there: *mut c_int,
) -> c_int {
    // SAFETY: SQLite hands in the file system that was registered and a path.
    let (files, path) = unsafe { (&registered::<F>(vfs).files, text(path)) };
    match path.map_or(Ok(false), |path| files.exists(path)) {
        Ok(found) => {
            // SAFETY: SQLite hands in room for the answer.
            unsafe { *is_there = c_int::from(found) };
            ffi::SQLITE_OK
        }
        Err(Code(code)) => code,
    }
}

unsafe extern "C" fn full_path(
    _: *mut ffi::sqlite3_vfs,
    path: *const c_char,
    room: c_int,
    full: *mut c_char,
) -> c_int {
    // SAFETY: the path ends with a zero, and there is so much room.
    unsafe {
        let path = CStr::from_ptr(path).to_bytes_with_nul();
        if path.len() > room as usize {
            return ffi::SQLITE_CANTOPEN;
        }
        std::ptr::copy_nonoverlapping(path.as_ptr(), full.cast(), path.len());
    }
    ffi::SQLITE_OK
}

/// SQLite takes chance from its default file system; this is for completeness.
unsafe extern "C" fn randomness(
    _: *mut ffi::sqlite3_vfs,
    length: c_int,
    into: *mut c_char,
) -> c_int {
    // SAFETY: there is so much room.
    unsafe { into.write_bytes(0, length as usize) };
    length
}

/// Nobody waits: whoever is in the way is on the same thread.
unsafe extern "C" fn pause(_: *mut ffi::sqlite3_vfs, microseconds: c_int) -> c_int {
    std::thread::yield_now();
    microseconds
}

/// It is always the first of January 2000.
unsafe extern "C" fn time(_: *mut ffi::sqlite3_vfs, days: *mut f64) -> c_int {
    // SAFETY: SQLite hands in room for the answer.
    unsafe { *days = 2_451_544.5 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn time_in_ms(_: *mut ffi::sqlite3_vfs, ms: *mut i64) -> c_int {
    // SAFETY: SQLite hands in room for the answer.
    unsafe { *ms = 211_813_444_800_000 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn last_error(_: *mut ffi::sqlite3_vfs, _: c_int, _: *mut c_char) -> c_int {
    0
}

unsafe extern "C" fn close<T: File>(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: `open` made the box, and this is the last call with this file.
    drop(unsafe { Box::from_raw((*file.cast::<Slot<T>>()).open) });
    ffi::SQLITE_OK
}

unsafe extern "C" fn read<T: File>(
    file: *mut ffi::sqlite3_file,
    into: *mut c_void,
    length: c_int,
    at: i64,
) -> c_int {
    // SAFETY: there is so much room, and nobody else uses it meanwhile. SQLite filled it before or
    // has it filled here: a byte has no value that is not allowed.
    let (open, into) = unsafe {
        into.cast::<u8>().write_bytes(0, length as usize);
        let into = slice::from_raw_parts_mut(into.cast::<u8>(), length as usize);
        (opened::<T>(file), into)
    };
    match open.file.read(at as u64, into) {
        Ok(read) if read == into.len() => ffi::SQLITE_OK,
        Ok(read) => {
            into[read..].fill(0);
            ffi::SQLITE_IOERR_SHORT_READ
        }
        Err(Code(code)) => code,
    }
}

unsafe extern "C" fn write<T: File>(
    file: *mut ffi::sqlite3_file,
    from: *const c_void,
    length: c_int,
    at: i64,
) -> c_int {
    // SAFETY: there are so many bytes.
    let (open, bytes) = unsafe {
        let bytes = slice::from_raw_parts(from.cast::<u8>(), length as usize);
        (opened::<T>(file), bytes)
    };
    code(open.file.write(at as u64, bytes))
}

unsafe extern "C" fn truncate<T: File>(file: *mut ffi::sqlite3_file, length: i64) -> c_int {
    // SAFETY: SQLite hands in a file that it opened.
    code(unsafe { opened::<T>(file) }.file.truncate(length as u64))
}

unsafe extern "C" fn flush<T: File>(file: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    // SAFETY: SQLite hands in a file that it opened.
    code(unsafe { opened::<T>(file) }.file.flush())
}

unsafe extern "C" fn length<T: File>(file: *mut ffi::sqlite3_file, length: *mut i64) -> c_int {
    // SAFETY: SQLite hands in a file that it opened.
    let answer = unsafe { opened::<T>(file) }.file.length();
    if let Ok(bytes) = answer {
        // SAFETY: SQLite hands in room for the answer.
        unsafe { *length = bytes as i64 };
    }
    code(answer)
}

fn level(number: c_int) -> Lock {
    match number {
        ffi::SQLITE_LOCK_NONE => Lock::None,
        ffi::SQLITE_LOCK_SHARED => Lock::Shared,
        ffi::SQLITE_LOCK_RESERVED => Lock::Reserved,
        ffi::SQLITE_LOCK_PENDING => Lock::Pending,
        _ => Lock::Exclusive,
    }
}

unsafe extern "C" fn lock<T: File>(file: *mut ffi::sqlite3_file, to: c_int) -> c_int {
    // SAFETY: SQLite hands in a file that it opened.
    code(unsafe { opened::<T>(file) }.file.lock(level(to)))
}

unsafe extern "C" fn unlock<T: File>(file: *mut ffi::sqlite3_file, to: c_int) -> c_int {
    // SAFETY: SQLite hands in a file that it opened.
    unsafe { opened::<T>(file) }.file.unlock(level(to));
    ffi::SQLITE_OK
}

unsafe extern "C" fn is_reserved<T: File>(
    file: *mut ffi::sqlite3_file,
    answer: *mut c_int,
) -> c_int {
    // SAFETY: SQLite hands in a file that it opened, and room for the answer.
    unsafe { *answer = c_int::from(opened::<T>(file).file.is_reserved()) };
    ffi::SQLITE_OK
}

unsafe extern "C" fn control(_: *mut ffi::sqlite3_file, _: c_int, _: *mut c_void) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn sector(_: *mut ffi::sqlite3_file) -> c_int {
    SECTOR
}

unsafe extern "C" fn characteristics(_: *mut ffi::sqlite3_file) -> c_int {
    CHARACTERISTICS
}

unsafe extern "C" fn map<T: File>(
    file: *mut ffi::sqlite3_file,
    number: c_int,
    bytes: c_int,
    is_made: c_int,
    place: *mut *mut c_void,
) -> c_int {
    if bytes as usize != REGION_BYTES {
        return ffi::SQLITE_IOERR_SHMMAP;
    }
    // SAFETY: SQLite hands in a file that it opened.
    let open = unsafe { opened::<T>(file) };
    let region = match open.file.region(number as usize, is_made != 0) {
        Ok(region) => region,
        Err(Code(code)) => return code,
    };
    // The words may be changed behind a shared reference, and the region stays until `unmap`.
    let start = region
        .as_ref()
        .map_or(null_mut(), |it| it.as_ptr().cast_mut().cast());
    let number = number as usize;
    let length = open.regions.len().max(number + 1);
    open.regions.resize(length, None);
    open.regions[number] = region;
    // SAFETY: SQLite hands in room for the answer.
    unsafe { *place = start };
    ffi::SQLITE_OK
}

unsafe extern "C" fn lock_slots<T: File>(
    file: *mut ffi::sqlite3_file,
    first: c_int,
    count: c_int,
    flags: c_int,
) -> c_int {
    let how = match flags {
        _ if flags & ffi::SQLITE_SHM_UNLOCK != 0 => SlotLock::Free,
        _ if flags & ffi::SQLITE_SHM_SHARED != 0 => SlotLock::Shared,
        _ => SlotLock::Exclusive,
    };
    let slots = first as usize..(first + count) as usize;
    // SAFETY: SQLite hands in a file that it opened.
    code(unsafe { opened::<T>(file) }.file.lock_slots(slots, how))
}

unsafe extern "C" fn barrier(_: *mut ffi::sqlite3_file) {
    std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
}

unsafe extern "C" fn unmap<T: File>(file: *mut ffi::sqlite3_file, is_removed: c_int) -> c_int {
    // SAFETY: SQLite hands in a file that it opened.
    let open = unsafe { opened::<T>(file) };
    open.file.leave_regions(is_removed != 0);
    open.regions.clear();
    ffi::SQLITE_OK
}
