#include <histedit.h>
#include <langinfo.h>
#include <locale.h>
#include <sys/ioctl.h>

// libedit sets its options through functions with a variable number of arguments, which Swift can't
// call. Here each option that the console uses is a function of its own.

typedef char *(*berth_edit_prompt)(EditLine *);
typedef unsigned char (*berth_edit_function)(EditLine *, int);

static inline void berth_edit_set_client(EditLine *edit, void *client) {
    el_set(edit, EL_CLIENTDATA, client);
}

static inline void *berth_edit_client(EditLine *edit) {
    void *client = NULL;
    el_get(edit, EL_CLIENTDATA, &client);
    return client;
}

static inline void berth_edit_set_prompt(EditLine *edit, berth_edit_prompt prompt) {
    el_set(edit, EL_PROMPT, prompt);
}

// The wide form: in the narrow one the type of the character has changed between versions.
static inline void berth_edit_set_reader(EditLine *edit, el_rfunc_t reader) {
    el_wset(edit, EL_GETCFN, reader);
}

static inline void berth_edit_use_emacs_keys(EditLine *edit) {
    el_set(edit, EL_EDITOR, "emacs");
}

// Keys such as ^C are keys while a line is edited, and send no signal.
static inline void berth_edit_ignore_signal_keys(EditLine *edit) {
    el_set(edit, EL_SETTY, "-d", "-isig", NULL);
}

// Puts the terminal in the mode in which keys reach the editor; el_gets() ends that mode.
static inline void berth_edit_take_terminal(EditLine *edit) {
    el_set(edit, EL_PREP_TERM, 1);
}

static inline void berth_edit_bind(EditLine *edit, const char *key, const char *function) {
    el_set(edit, EL_BIND, key, function, NULL);
}

static inline void berth_edit_add_function(
    EditLine *edit, const char *name, const char *help, berth_edit_function function) {
    el_set(edit, EL_ADDFN, name, help, function);
}

static inline void berth_edit_set_history(EditLine *edit, History *lines) {
    el_set(edit, EL_HIST, history, lines);
}

static inline void berth_history_set_size(History *lines, int size) {
    HistEvent event;
    history(lines, &event, H_SETSIZE, size);
}

static inline void berth_history_clear(History *lines) {
    HistEvent event;
    history(lines, &event, H_CLEAR);
}

static inline void berth_history_enter(History *lines, const char *line) {
    HistEvent event;
    history(lines, &event, H_ENTER, line);
}

// Makes the calling thread read and write UTF-8, whatever the locale of the process is.
static inline void berth_edit_use_utf8(void) {
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    if (utf8 != (locale_t)0) uselocale(utf8);
}

// The width of a terminal in columns, 0 if it isn't known.
static inline int berth_terminal_columns(int fd) {
    struct winsize size;
    return ioctl(fd, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

// The number of bytes that can be read from a terminal at once, 0 if it isn't known.
static inline int berth_terminal_pending(int fd) {
    int count;
    return ioctl(fd, FIONREAD, &count) == 0 ? count : 0;
}
