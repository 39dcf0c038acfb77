extension SwiftEmitter {
    private func values(_ union: Union) -> (type: String, values: [EnumValue]) {
        guard let tag = union.base.first(where: { $0.name == union.discriminator }),
            case .named(let name) = tag.type,
            case .enumeration(let values)? = schema.entity(name)?.kind
        else { return ("", []) }
        return (name, values.filter { $0.aliasOf == nil })
    }

    private func branch(_ union: Union, _ value: EnumValue) -> String? {
        union.branches.first { $0.name == value.name }.map { swiftType($0.type) }
    }

    /// A union of which the discriminator is the only common member: an enum.
    func plainUnion(_ entity: Entity, _ union: Union, _ text: inout SwiftText) {
        text.documentation(entity.documentation.body + ["QAPI: `\(entity.name)`."])
        text.block("public enum \(entity.name): QAPIObject") { text in
            variants(union, &text)
        }
    }

    /// A union with more common members: a struct that has an enum.
    func taggedUnion(_ entity: Entity, _ union: Union, _ text: inout SwiftText) {
        text.documentation(entity.documentation.body + ["QAPI: `\(entity.name)`."])
        text.block("public struct \(entity.name): QAPIObject") { text in
            for member in union.commonMembers {
                text.documentation(documentation(member))
                text.line("public var \(SwiftName.member(member.name)): \(swiftType(member))")
            }
            text.documentation(["What depends on `\(union.discriminator)`."])
            text.line("public var variant: Variant")
            text.line()
            text.documentation(["Makes a value of its members."])
            let parameters = union.commonMembers.map {
                "\(SwiftName.member($0.name)): \(swiftType($0))"
            }
            text.block(
                "public init(\((parameters + ["variant: Variant"]).joined(separator: ", ")))"
            ) {
                text in
                for member in union.commonMembers {
                    let name = SwiftName.member(member.name)
                    text.line("self.\(name) = \(name)")
                }
                text.line("self.variant = variant")
            }
            text.line()
            text.documentation(["Takes the members out of an object, in the schema's order."])
            text.block("public init(reading reader: inout ObjectReader) throws(QMPError)") { text in
                for member in union.base {
                    if member.name == union.discriminator {
                        let type = values(union).type
                        text.line("let tag: \(type) = try reader.required(\(quoted(member.name)))")
                    } else {
                        readMember(member, &text)
                    }
                }
                text.line("variant = try Variant(tag, reading: &reader)")
            }
            text.line()
            text.documentation(["Adds the members to an object; what is nil is left out."])
            text.block("public func write(to object: inout JSONObject)") { text in
                for member in union.base {
                    if member.name == union.discriminator {
                        text.line("object[\(quoted(member.name))] = variant.tag.toJSON()")
                    } else {
                        writeMember(member, &text)
                    }
                }
                text.line("variant.writeMembers(to: &object)")
            }
            text.line()
            text.documentation(["What depends on `\(union.discriminator)`."])
            text.block("public enum Variant: Sendable, Equatable") { text in
                variants(union, &text, isNested: true)
            }
        }
    }

    private func variants(_ union: Union, _ text: inout SwiftText, isNested: Bool = false) {
        let (type, values) = values(union)
        let key = quoted(union.discriminator)
        for value in values {
            text.documentation([sentence(value.text)])
            let name = SwiftName.member(value.name)
            text.line("case \(name)" + (branch(union, value).map { "(\($0))" } ?? ""))
        }
        text.line()
        text.documentation(["QAPI: `\(union.discriminator)`."])
        text.block("public var tag: \(type)") { text in
            text.line("switch self {")
            for value in values {
                let name = SwiftName.member(value.name)
                text.line("case .\(name): .\(name)")
            }
            text.line("}")
        }
        text.line()
        if !isNested {
            text.documentation(["Takes the members out of an object, in the schema's order."])
            text.block("public init(reading reader: inout ObjectReader) throws(QMPError)") { text in
                text.line("let tag: \(type) = try reader.required(\(key))")
                text.line("try self.init(tag, reading: &reader)")
            }
            text.line()
        }
        text.line("init(_ tag: \(type), reading reader: inout ObjectReader) throws(QMPError) {")
        text.line("    switch tag {")
        for value in values {
            let name = SwiftName.member(value.name)
            if let branch = branch(union, value) {
                text.line("    case .\(name): self = .\(name)(try \(branch)(reading: &reader))")
            } else {
                text.line("    case .\(name): self = .\(name)")
            }
        }
        text.line("    }")
        text.line("}")
        text.line()
        if !isNested {
            text.documentation(["Adds the members to an object; what is nil is left out."])
            text.block("public func write(to object: inout JSONObject)") { text in
                text.line("object[\(key)] = tag.toJSON()")
                text.line("writeMembers(to: &object)")
            }
            text.line()
        }
        text.block("func writeMembers(to object: inout JSONObject)") { text in
            text.line("switch self {")
            for value in values {
                let name = SwiftName.member(value.name)
                if branch(union, value) != nil {
                    text.line("case .\(name)(let members): members.write(to: &object)")
                } else {
                    text.line("case .\(name): break")
                }
            }
            text.line("}")
        }
    }
}
