//! `file`: records appended to files, one per tag or one for all.

mod format;
mod handles;
mod rotate;
mod target;
mod template;

use super::{Outcome, Output, OutputPlugin, Payload};
use crate::conf::formats::DateKey;
use crate::conf::{FromConf, PluginInfo, Size};
use crate::error::Error;
use crate::event::View;
use crate::fmt::date_format::DateFormat;
use crate::fmt::record::RecordFormat;
use crate::plugin::MakeCx;
use crate::rt::LocalFuture;
use crate::time::Time;
use format::Format;
use handles::Handles;
use rotate::{Limits, Rotate};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::SystemTime;
use target::Target;
use template::Template;

crate::conf_enum! {
    /// How a record is written.
    pub enum FormatName {
        /// `tag: [1700000000.971739438, {"key":"value"}]`
        Default = "out_file" | "default",
        /// The JSON object alone.
        Plain = "plain",
        /// JSON objects that begin with their date.
        JsonLines = "json_lines",
        /// Comma separated values.
        Csv = "csv",
        /// Labelled, tab separated values.
        Ltsv = "ltsv",
        /// The line of `Template`.
        Template = "template",
        /// Events in msgpack, one behind the other.
        Msgpack = "msgpack",
    }
}

/// What stands between two fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delimiter(String);

impl FromConf for Delimiter {
    const KIND: &'static str = "tab, space, comma or text";
    const EXAMPLE: &'static str = "tab";
    fn from_conf(text: &str) -> Result<Self, String> {
        let known = [("tab", "\t"), ("\\t", "\t"), ("space", " "), ("comma", ",")];
        let found = known.iter().find(|(word, _)| text.eq_ignore_ascii_case(word));
        Ok(Self(found.map_or(text, |(_, meant)| meant).to_owned()))
    }
    fn caution(&self, text: &str) -> Option<String> {
        let own = self.0 == text && text != ",";
        own.then(|| format!("'{text}' is taken as it stands (Fluent Bit writes its default instead)"))
    }
}

crate::config! {
    /// Keys of file.
    pub struct FileConf {
        /// The directory; the working directory when not given.
        path: Option<String> => "Path",
        /// The name of the file; the tag when not given, with `/` and `..` made harmless.
        file: Option<String> => "File",
        /// `out_file` writes `tag: [time, {record}]`, `plain` the record alone, `json_lines` the record with its date.
        format: FormatName => "Format" = "out_file",
        /// Between fields, for csv (a comma by default) and ltsv (a tab).
        delimiter: Option<Delimiter> => "Delimiter",
        /// Between label and value, for ltsv.
        label_delimiter: Delimiter => "Label_Delimiter" = ":",
        /// The line for the format template; `{key}` stands for a value, `{time}` for the time.
        template: String => "Template" = "{time} {message}",
        /// Begin each csv file with the names of its columns.
        csv_column_names: bool => "Csv_Column_Names" = "off",
        /// Make the directory when it is not there.
        mkdir: bool => "Mkdir" = "off",
        /// Begin a new file before one grows beyond `Rotate_Max_Size`.
        rotate: bool => "Rotate" = "off",
        /// The largest file, in bytes.
        rotate_max_size: Size => "Rotate_Max_Size" = "100M",
        /// Rotated files that are kept.
        rotate_max_files: u32 => "Rotate_Max_Files" = "7",
        /// Compress rotated files.
        rotate_gzip: bool => "Rotate_Gzip" = "on",
        /// How the date is written in json_lines.
        json_date_format: DateFormat => "Json_Date_Format" = "double",
        /// The key of the date in json_lines; `false` writes none.
        json_date_key: DateKey => "Json_Date_Key" = "date",
    }
    unserved [
        "Enable_Strftime=off", "Max_Dynamic_Files=1024", "On_Missing_Field=error", "On_Limit_Reached=error",
        "Fallback_Path", "Fallback_File"
    ]
}

/// The plugin.
pub static PLUGIN: OutputPlugin = OutputPlugin {
    info: PluginInfo {
        name: "file",
        doc: "Appends records to files.",
        keys: FileConf::KEYS,
        unserved: FileConf::UNSERVED,
        extra: &[],
    },
    make: |cx| make(cx),
};

struct Files {
    label: String,
    format: Format,
    header: bool,
    target: Target,
    mkdir: bool,
    handles: Handles,
    rotate: Option<Rotate>,
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Output>> {
    let conf = FileConf::load(cx.section, cx.diags)?;
    for (key, value) in [("Path", &conf.path), ("File", &conf.file)] {
        if value.as_ref().is_some_and(|v| is_dynamic(v)) {
            let why = format!("{key}: a record accessor ('$...') is not served here yet");
            return cx.refuse(key, why, "Write a plain path; without File each tag has a file of its own.");
        }
    }
    if conf.rotate && (conf.rotate_max_files == 0 || conf.rotate_max_size.0 == 0) {
        let key = if conf.rotate_max_files == 0 { "Rotate_Max_Files" } else { "Rotate_Max_Size" };
        return cx.refuse(key, format!("{key}: must be at least 1"), "Set Rotate off to keep everything in one file.");
    }
    let delimiter = |default: &str| conf.delimiter.as_ref().map_or(default, |d| &d.0).into();
    let format = match conf.format {
        FormatName::Default => Format::Default(cx.json),
        FormatName::Plain => Format::Plain(cx.json),
        FormatName::JsonLines => {
            Format::JsonLines(RecordFormat::new(conf.json_date_key.0.as_deref(), conf.json_date_format, cx.json))
        }
        FormatName::Csv => Format::Csv(delimiter(",")),
        FormatName::Ltsv => Format::Ltsv(delimiter("\t"), conf.label_delimiter.0.as_str().into()),
        FormatName::Template => Format::Template(Template::compile(&conf.template)),
        FormatName::Msgpack => Format::Msgpack,
    };
    let limits =
        Limits { max_size: conf.rotate_max_size.0, max_files: conf.rotate_max_files as usize, gzip: conf.rotate_gzip };
    Some(Box::new(Files {
        label: cx.label(),
        format,
        header: conf.csv_column_names,
        target: Target { dir: conf.path.map(Into::into), file: conf.file.map(Into::into) },
        mkdir: conf.mkdir,
        handles: Handles::default(),
        rotate: conf.rotate.then(|| Rotate::new(limits, cx.label())),
    }))
}

/// Whether a path holds `$TAG`, `$key` or `$key['sub']`.
fn is_dynamic(path: &str) -> bool {
    path.split('$').skip(1).any(|after| after.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_'))
}

impl Output for Files {
    fn format(&self, view: &View<'_>, out: &mut Payload) -> Result<(), Error> {
        if self.header {
            // Left out again on delivery unless the file is empty: `items` says where it ends.
            self.format.header(view, &mut out.bytes);
            out.items.push((out.bytes.len() as u32, 0));
        }
        self.format.write(view, &mut out.bytes);
        Ok(())
    }

    fn deliver<'a>(&'a self, payload: &'a mut Payload) -> LocalFuture<'a, Outcome> {
        Box::pin(async {
            let path = self.target.path(&payload.tag);
            match self.append(&path, payload).await {
                Ok(()) => Outcome::Done,
                Err(e) => {
                    // Whatever is wrong with the file that is open, the next attempt opens it anew.
                    self.handles.forget(&path);
                    let why = words(&path, &e, self.mkdir).into();
                    if self.is_tag_s_own(&e) { Outcome::Retry(why) } else { Outcome::Down(why) }
                }
            }
        })
    }

    fn start(&self) -> Result<(), Error> {
        if let Some(dir) = self.target.dir.as_deref().filter(|d| !self.mkdir && !d.is_dir()) {
            let (label, dir) = (&self.label, dir.display());
            log::warn!(
                "[{label}] there is no directory '{dir}': nothing can be written until there is (or set Mkdir on)"
            );
        }
        Ok(())
    }

    fn stop(&self) -> LocalFuture<'_, ()> {
        Box::pin(async {
            if let Some(rotate) = &self.rotate {
                rotate.finish().await;
            }
            self.handles.clear();
        })
    }
}

impl Files {
    /// Whether an error is about the file of one tag: those of other tags may be fine. All else, a full disk or a missing
    /// directory, is about every file.
    fn is_tag_s_own(&self, e: &io::Error) -> bool {
        self.target.file.is_none() && matches!(e.kind(), ErrorKind::IsADirectory | ErrorKind::PermissionDenied)
    }

    async fn append(&self, path: &Path, payload: &Payload) -> io::Result<()> {
        let mut file = self.handles.get(path, self.mkdir)?;
        let mut size = handles::size(&file);
        if let Some(rotate) = self.rotate.as_ref().filter(|r| r.is_due(size, payload.bytes.len())) {
            match rotate.rotate(path, Time::from_system(SystemTime::now())) {
                Ok(()) => {
                    file = self.handles.get(path, self.mkdir)?;
                    size = handles::size(&file);
                }
                Err(e) => log::warn!("[{}] cannot rotate '{}', it grows on: {e}", self.label, path.display()),
            }
        }
        let header = payload.items.first().map_or(0, |(end, _)| *end as usize);
        let mut written = if size == 0 { 0 } else { header };
        file.write_all(&payload.bytes, &mut written).await
    }
}

fn words(path: &Path, e: &io::Error, mkdir: bool) -> String {
    let path = path.display();
    match e.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            format!("no room on the disk for '{path}' (what was written of this chunk is taken back): {e}")
        }
        ErrorKind::NotFound if !mkdir => format!("cannot open '{path}': its directory does not exist (set Mkdir on)"),
        _ => format!("cannot write to '{path}': {e}"),
    }
}

#[cfg(test)]
mod tests;
