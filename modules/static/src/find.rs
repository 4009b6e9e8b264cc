//! From the path of a request to a file, and never to one outside of the folder.

use std::path::{Path, PathBuf};

/// What stands at a path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    File(PathBuf),
    /// A folder with an `index.html`, asked for without the slash that its relative links need.
    FolderWithoutSlash,
    Nothing,
}

/// Looks a path up; it is decoded and relative to the folder. Blocks.
pub(crate) fn find(folder: &Path, path: &str) -> Found {
    let Some(relative) = relative(path) else {
        return Found::Nothing;
    };
    // With every symbolic link resolved, what is inside of the folder begins like the folder.
    let (Ok(root), Ok(target)) = (folder.canonicalize(), folder.join(relative).canonicalize())
    else {
        return Found::Nothing;
    };
    if !is_open(&root, &target) {
        return Found::Nothing;
    }
    let asks_for_folder = path.is_empty() || path.ends_with('/');
    if target.is_file() && !asks_for_folder {
        return Found::File(target);
    }
    let Ok(index) = target.join("index.html").canonicalize() else {
        return Found::Nothing;
    };
    match is_open(&root, &index) && index.is_file() {
        true if asks_for_folder => Found::File(index),
        true => Found::FolderWithoutSlash,
        false => Found::Nothing,
    }
}

/// The path as names of files, unless it has some that are not to be asked for: `..`, hidden ones,
/// and those that mean something else elsewhere than on Unix.
fn relative(path: &str) -> Option<PathBuf> {
    let names = path.split('/').filter(|name| !name.is_empty());
    let allowed = |name: &str| !name.starts_with('.') && !name.contains(['\\', ':', '\0']);
    names.map(|name| allowed(name).then_some(name)).collect()
}

/// Whether a file is inside of the folder and not hidden there.
fn is_open(root: &Path, target: &Path) -> bool {
    target.strip_prefix(root).is_ok_and(|inside| {
        inside
            .iter()
            .all(|name| !name.as_encoded_bytes().starts_with(b"."))
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    fn folder() -> TempDir {
        let outer = TempDir::new().unwrap();
        let root = outer.path().join("public");
        fs::create_dir_all(root.join("deep")).unwrap();
        fs::create_dir_all(root.join("bare")).unwrap();
        fs::create_dir_all(root.join(".git")).unwrap();
        for file in [
            "index.html",
            "deep/index.html",
            "bare/a.css",
            ".git/config",
            ".env",
            "../secret",
        ] {
            fs::write(root.join(file), file).unwrap();
        }
        outer
    }

    #[test]
    fn files_and_the_index_of_a_folder_are_found() {
        let outer = folder();
        let root = outer.path().join("public").canonicalize().unwrap();
        let file = |name: &str| Found::File(root.join(name));
        assert_eq!(find(&root, ""), file("index.html"));
        assert_eq!(find(&root, "bare/a.css"), file("bare/a.css"));
        assert_eq!(find(&root, "deep/"), file("deep/index.html"));
        assert_eq!(find(&root, "deep"), Found::FolderWithoutSlash);
    }

    #[test]
    fn nothing_else_is() {
        let outer = folder();
        let root = outer.path().join("public");
        for path in [
            "bare",
            "bare/",
            "index.html/",
            ".env",
            ".git/config",
            "../secret",
            "deep/../../secret",
            "deep/..",
            "..\\secret",
            "/../secret",
            "index.html\0",
        ] {
            assert_eq!(find(&root, path), Found::Nothing, "{path:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_lead_nowhere_outside() {
        use std::os::unix::fs::symlink;
        let outer = folder();
        let root = outer.path().join("public").canonicalize().unwrap();
        symlink("../secret", root.join("out")).unwrap();
        symlink("..", root.join("up")).unwrap();
        symlink(".env", root.join("hidden")).unwrap();
        symlink("bare/a.css", root.join("in.css")).unwrap();
        for path in ["out", "up/secret", "hidden"] {
            assert_eq!(find(&root, path), Found::Nothing, "{path}");
        }
        assert_eq!(find(&root, "in.css"), Found::File(root.join("bare/a.css")));
    }
}
