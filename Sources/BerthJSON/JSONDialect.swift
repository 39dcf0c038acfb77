/// Which of two sets of rules a text is held to where they differ.
enum JSONDialect {
    /// QEMU's: single quotes too, duplicate keys refused, noncharacters refused, C0 80 is U+0000.
    case monitor
    /// RFC 8259; of duplicate keys the last one wins.
    case strict
}
