//! The names of the fields, interned.

crate::keys! {
    /// Names of the fields of a handshake's document.
    pub struct Keys {
        tls, version, version_protocol, established, resumed, cipher, curve, next_protocol, client, server,
        ja3, ja3s, ja4, server_name, supported_ciphers, hash, md5, sha1, sha256, issuer, subject, not_before, not_after,
        x509, certificate_chain, detailed, client_certificate_requested, hello_retry_request, resumption_method,
        ocsp_response, client_hello, server_hello, client_certificate, client_certificate_chain, server_certificate,
        server_certificate_chain, alerts, alert_types, severity, code, kind = "type", source,
        session_id, supported_compression_methods, selected_compression_method, extensions, unparsed = "_unparsed_",
        server_name_indication, max_fragment_length, client_certificate_url, truncated_hmac, cert_type,
        supported_groups, ec_points_formats, srp, signature_algorithms, application_layer_protocol_negotiation,
        session_ticket, supported_versions,
        version_number, serial_number, alternative_names, public_key_algorithm, public_key_size, signature_algorithm,
        common_name, country, organization, organizational_unit, locality, province, state_or_province, postal_code,
        street_address, distinguished_name,
    }
}
