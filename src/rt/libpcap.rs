//! libpcap, loaded when it is first asked for. With the nine libraries that Debian's build of it needs it holds more than a
//! megabyte of memory, which only those who capture should pay; and the program starts where it is not installed.
//!
//! The functions of libpcap (its manual, pcap(3PCAP)) that the binding calls are defined here under their own names; each looks
//! up the library's function at its first call. A program that is linked with libpcap for good, a static one, has none of this.

/// Makes sure that libpcap is there; to be called before anything of its binding.
///
/// # Errors
/// What to install, when it is not.
pub fn load() -> Result<(), String> {
    #[cfg(all(target_os = "linux", target_env = "gnu", not(target_feature = "crt-static")))]
    lazy::load()?;
    Ok(())
}

#[cfg(all(target_os = "linux", target_env = "gnu", not(target_feature = "crt-static")))]
#[allow(unsafe_code)]
mod lazy {
    use std::ffi::{CStr, c_char, c_int, c_uchar, c_uint, c_void};
    use std::mem::transmute;
    use std::ptr::{null_mut, with_exposed_provenance_mut};
    use std::sync::OnceLock;

    /// The names that the library has on Linux: upstream's and Debian's.
    const NAMES: [&CStr; 2] = [c"libpcap.so.1", c"libpcap.so.0.8"];

    unsafe extern "C" {
        fn dlopen(name: *const c_char, flags: c_int) -> *mut c_void;
        fn dlerror() -> *mut c_char;
        fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
    }
    /// All of the library's own references are bound when it is loaded (dlopen(3)).
    const RTLD_NOW: c_int = 2;

    pub(super) fn load() -> Result<(), String> {
        let why = library().as_ref().err();
        why.map_or(Ok(()), |why| {
            Err(format!("cannot load libpcap: {why}. Install it (on Debian the package libpcap0.8)"))
        })
    }

    /// The library's handle as a number, or why there is none. It is never closed.
    fn library() -> &'static Result<usize, String> {
        static LIBRARY: OnceLock<Result<usize, String>> = OnceLock::new();
        LIBRARY.get_or_init(|| {
            let [upstream, debian] = NAMES;
            open(upstream).or_else(|_| open(debian))
        })
    }

    pub(super) fn open(name: &CStr) -> Result<usize, String> {
        // SAFETY: the name ends with NUL; loading runs the initializers of system libraries, which have no demands.
        let library = unsafe { dlopen(name.as_ptr(), RTLD_NOW) };
        if !library.is_null() {
            return Ok(library.expose_provenance());
        }
        // SAFETY: it has no demands; its answer is this thread's, and good until the next call.
        let why = unsafe { dlerror() };
        if why.is_null() {
            return Err(format!("no {}", name.to_string_lossy()));
        }
        // SAFETY: not null, so a text that ends with NUL (dlerror(3)).
        Err(unsafe { CStr::from_ptr(why) }.to_string_lossy().into_owned())
    }

    fn symbol(name: &CStr) -> Option<*mut c_void> {
        let library = with_exposed_provenance_mut(*library().as_ref().ok()?);
        // SAFETY: the handle is one of `dlopen`, the name ends with NUL.
        let at = unsafe { dlsym(library, name.as_ptr()) };
        (!at.is_null()).then_some(at)
    }

    /// Defines functions that call the library's; without it they answer as it does when something fails.
    macro_rules! forward {
        ($( $name:ident($($arg:ident: $ty:ty),*) -> $out:ty, or $failed:expr; )*) => { $(
            // SAFETY: no other function of the program has a name of libpcap.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $name($($arg: $ty),*) -> $out {
                type Function = unsafe extern "C" fn($($ty),*) -> $out;
                static FUNCTION: OnceLock<Option<Function>> = OnceLock::new();
                const NAME: &CStr = match CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                    Ok(name) => name,
                    Err(_) => c"",
                };
                // SAFETY: libpcap's function of this name has these parameters (its header, pcap/pcap.h).
                let found = FUNCTION.get_or_init(|| symbol(NAME).map(|at| unsafe { transmute::<*mut c_void, Function>(at) }));
                match found {
                    // SAFETY: the caller keeps what libpcap demands.
                    Some(function) => unsafe { function($($arg),*) },
                    None => $failed,
                }
            }
        )* };
    }

    /// `PCAP_ERROR`: what functions answer that fail.
    const FAILED: c_int = -1;
    /// `pcap_t`, known by its address alone.
    type Handle = *mut c_void;

    forward! {
        pcap_create(source: *const c_char, why: *mut c_char) -> Handle, or null_mut();
        pcap_set_snaplen(handle: Handle, bytes: c_int) -> c_int, or FAILED;
        pcap_set_promisc(handle: Handle, on: c_int) -> c_int, or FAILED;
        pcap_set_timeout(handle: Handle, ms: c_int) -> c_int, or FAILED;
        pcap_set_buffer_size(handle: Handle, bytes: c_int) -> c_int, or FAILED;
        pcap_set_tstamp_precision(handle: Handle, precision: c_int) -> c_int, or FAILED;
        pcap_activate(handle: Handle) -> c_int, or FAILED;
        pcap_open_dead(link: c_int, snaplen: c_int) -> Handle, or null_mut();
        pcap_close(handle: Handle) -> (), or ();
        pcap_breakloop(handle: Handle) -> (), or ();
        pcap_dispatch(handle: Handle, count: c_int, each: *mut c_void, user: *mut c_uchar) -> c_int, or FAILED;
        pcap_stats(handle: Handle, into: *mut c_void) -> c_int, or FAILED;
        pcap_setfilter(handle: Handle, program: *mut c_void) -> c_int, or FAILED;
        pcap_setnonblock(handle: Handle, on: c_int, why: *mut c_char) -> c_int, or FAILED;
        pcap_geterr(handle: Handle) -> *mut c_char, or null_mut();
        pcap_compile(handle: Handle, program: *mut c_void, text: *const c_char, optimize: c_int, mask: c_uint) -> c_int, or FAILED;
        pcap_freecode(program: *mut c_void) -> (), or ();
        pcap_offline_filter(program: *const c_void, header: *const c_void, packet: *const c_uchar) -> c_int, or 0;
        pcap_datalink(handle: Handle) -> c_int, or FAILED;
        pcap_fileno(handle: Handle) -> c_int, or FAILED;
        pcap_findalldevs(into: *mut *mut c_void, why: *mut c_char) -> c_int, or FAILED;
        pcap_freealldevs(all: *mut c_void) -> (), or ();
    }
}

#[cfg(all(test, target_os = "linux", target_env = "gnu", not(miri)))]
mod tests {
    use super::*;

    #[test]
    fn the_library_is_found_and_another_is_not() {
        assert_eq!(load(), Ok(()));
        let why = lazy::open(c"libpcap-that-is-not-there.so.1").unwrap_err();
        assert!(why.contains("libpcap-that-is-not-there.so.1"), "{why}");
    }
}
