//! The keys of the tail input.

use super::charset::{Generic, Unicode};
use crate::conf::{CList, Many, Size};
use std::time::Duration;

crate::config! {
    /// Options of `tail`.
    pub struct TailConf {
        /// Comma list of file patterns as in glob(7): `*`, `?` and `[a-z]` inside one path component. Links are
        /// followed. A `.gz` file is read once, from head to end, when it is complete: one present at the start only with
        /// `Read_from_Head`, one that appears later unless its name says that it was rotated from a file being followed.
        /// Its offsets are those of its text; interrupted, it is read again from its head.
        path: CList => "Path" required,
        /// Comma list of patterns; a file whose whole path matches one is left alone (here `*` crosses `/`).
        exclude_path: CList => "Exclude_Path" = "",
        /// The key that holds a line which no parser took apart.
        key: String => "Key" = "log",
        /// Read files that are present at the start from their head, not from their end. The end is the start of the
        /// last line while that has no line end yet, so that no half line is delivered.
        read_from_head: bool => "Read_from_Head" = "false",
        /// Read files that appear later from their head.
        read_newly_discovered_files_from_head: bool => "Read_Newly_Discovered_Files_From_Head" = "true",
        /// How often the patterns are expanded anew. A fraction counts as a fraction of a second: `0.5` is half a
        /// second (Fluent Bit reads it as five nanoseconds).
        refresh_interval: Duration => "Refresh_Interval" = "60",
        /// How often the names of files that inotify cannot watch are checked for rotation.
        watcher_interval: Duration => "Watcher_Interval" = "2s",
        /// How often the size of quiet files that inotify cannot watch is checked; busy ones are checked four times a
        /// second.
        progress_check_interval: Duration => "Progress_Check_Interval" = "2s",
        /// Nanoseconds added to `Progress_Check_Interval`.
        progress_check_interval_nsec: u32 => "Progress_Check_Interval_Nsec" = "0",
        /// A rotated or deleted file is closed when it has not grown for this long. It is always read to its end
        /// first. Of a file that was copied and cut, the copies beside it are read from where the file stood, those of
        /// contents that came and went unseen (named with a number or a date) from their heads.
        rotate_wait: Duration => "Rotate_Wait" = "5",
        /// Adds the path, as it was matched, under this key.
        path_key: Option<String> => "Path_Key",
        /// Adds the byte offset of the line in its file under this key.
        offset_key: Option<String> => "Offset_Key",
        /// Leave files alone that were last written longer ago than this; 0 takes all.
        ignore_older: Duration => "Ignore_Older" = "0",
        /// Let go of a file being followed once it is older than `Ignore_Older`.
        ignore_active_older_files: bool => "Ignore_Active_Older_Files" = "false",
        /// The least that one read asks for. Files that are far behind are read in larger steps.
        buffer_chunk_size: Size => "Buffer_Chunk_Size" = "32768",
        /// The longest line. With neither `Skip_Long_Lines` nor `Truncate_Long_Lines` a longer one is cut into records
        /// of this size: nothing is lost, and the file goes on (Fluent Bit stops reading it).
        buffer_max_size: Size => "Buffer_Max_Size" = "32768",
        /// The most that a file which is far behind may read before the others have their turn.
        static_batch_size: Size => "Static_Batch_Size" = "50M",
        /// The most that a file which is followed may read before the others have their turn.
        event_batch_size: Size => "Event_Batch_Size" = "50M",
        /// Drop lines longer than `Buffer_Max_Size`; they are counted.
        skip_long_lines: bool => "Skip_Long_Lines" = "false",
        /// Cut lines longer than `Buffer_Max_Size` there, not inside a character, and drop their rest.
        truncate_long_lines: bool => "Truncate_Long_Lines" = "false",
        /// End the program when every file present at the start is read; a last line without a line end counts too.
        exit_on_eof: bool => "Exit_On_Eof" = "false",
        /// Make no record of empty lines.
        skip_empty_lines: bool => "Skip_Empty_Lines" = "false",
        /// Tell the system which cached pages of rotated files are not needed again.
        file_cache_advise: bool => "File_Cache_Advise" = "true",
        /// Learn of changes from inotify. When off, files are looked at regularly.
        inotify_watcher: bool => "Inotify_Watcher" = "true",
        /// The parser that takes lines apart. A line it does not know is kept whole under `Key`.
        parser: Option<String> => "Parser",
        /// A regular expression searched in the path; its named groups replace `<name>` in the tag. Files whose path
        /// does not match are not read.
        tag_regex: Option<String> => "Tag_Regex",
        /// The SQLite file that remembers how far each file was delivered. An existing one of Fluent Bit is continued. One
        /// that is damaged at the start is moved aside (`.corrupt-` and the time), and files are read from their heads;
        /// one that is deleted while it is used is made anew.
        db: Option<String> => "DB",
        /// How carefully SQLite writes: `off`, `normal`, `full` or `extra`.
        db_sync: Sync => "DB.Sync" = "normal",
        /// Keep other programs out of the database.
        db_locking: bool => "DB.Locking" = "false",
        /// SQLite's journal: `delete`, `truncate`, `persist`, `memory`, `wal` or `off`.
        db_journal_mode: Journal => "DB.Journal_Mode" = "WAL",
        /// A remembered position counts only under the same name.
        db_compare_filename: bool => "DB.Compare_Filename" = "false",
        /// Files are written in this Unicode encoding; records hold UTF-8. `auto` goes by the mark at the head of each
        /// file, and takes one without a mark for UTF-8. What is no text becomes U+FFFD.
        unicode_encoding: Option<Unicode> => "Unicode.Encoding",
        /// Files are written in this encoding; records hold UTF-8. Other usual names such as `SJIS`, `CP949` or
        /// `Windows-1252` are known too. What is no text becomes U+FFFD. Not together with `Unicode.Encoding`.
        generic_encoding: Option<Generic> => "Generic.Encoding",
        /// Comma list of multiline parsers, which join lines to records; each line goes to the first that knows it. Built in:
        /// `docker`, `cri`, `java`, `python`, `go`, `ruby`. With a DB a record that is not complete at the end is read again.
        multiline_parser: Many<CList> => "Multiline.Parser",
        /// The older way to join lines: `Parser_Firstline` takes the first one.
        multiline: bool => "Multiline" = "off",
        /// How long a record waits for its next line.
        multiline_flush: Duration => "Multiline_Flush" = "4",
        /// The parser for the first line of a record.
        parser_firstline: Option<String> => "Parser_Firstline",
        /// `Parser_1`, `Parser_2`, …: parsers for the lines that follow it; their fields are added. A line that none of them takes
        /// is added to the last text.
        parser_n: Many<String> => "Parser_*",
        /// The older way to join the pieces of long lines in Docker's JSON files, as `Multiline.Parser docker` does. `Parser` takes
        /// the lines apart; without one they are read as JSON. Not together with the other ways to join lines.
        docker_mode: bool => "Docker_Mode" = "off",
        /// How long a record waits for its next piece.
        docker_mode_flush: Duration => "Docker_Mode_Flush" = "4",
        /// The parser for the first line of a record of several lines, shown the line as it stands in the file, as JSON. Lines that
        /// it does not take are added to the record before them; they keep its time and its other fields.
        docker_mode_parser: Option<String> => "Docker_Mode_Parser",
    }
    unserved ["Windows.Path_Encoding=ansi"]
}

crate::conf_enum! {
    /// SQLite's `synchronous`.
    pub enum Sync {
        /// Leave writing to the system.
        Off = "off" | "0",
        /// Sync at checkpoints.
        Normal = "normal" | "1",
        /// Sync at each commit.
        Full = "full" | "2",
        /// As full, the directory too.
        Extra = "extra" | "3",
    }
}

crate::conf_enum! {
    /// SQLite's `journal_mode`.
    pub enum Journal {
        /// A journal deleted after each commit.
        Delete = "delete",
        /// A journal cut to nothing after each commit.
        Truncate = "truncate",
        /// A journal overwritten.
        Persist = "persist",
        /// A journal in memory.
        Memory = "memory",
        /// A write-ahead log.
        Wal = "wal",
        /// No journal.
        Off = "off",
    }
}

impl TailConf {
    /// The interval between looks at quiet files that are not watched.
    pub fn progress_interval(&self) -> Duration {
        self.progress_check_interval + Duration::from_nanos(u64::from(self.progress_check_interval_nsec))
    }
}
