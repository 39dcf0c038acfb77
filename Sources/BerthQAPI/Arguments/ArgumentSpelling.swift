/// How the scalars of an input are written.
///
/// The same schema checks three languages: QMP's JSON, where every scalar has its JSON type, and
/// the two of the command line, where all are strings.
public enum ArgumentSpelling: Sendable, Equatable {
    /// JSON of QMP and of `-object '{...}'`.
    case json
    /// Dotted keys, as in `-incoming main,addr.transport=file`.
    case keyval
    /// Flat options, as in `-object memory-backend-ram,id=m,size=1G`; a key that is repeated is a
    /// list.
    case options
}
