-- The strict parser: the shapes of JSONTestSuite (y_ must be accepted, n_ refused, i_ are ours to decide), our limits,
-- numbers, escapes, and where and why a text is refused. The names are the suite's, without their prefix.

local env = require "spec.support.env"
local json = require "spec.support.jsonprobe"

local yes = {
  { "array_arraysWithSpaces", "[[]   ]" }, { "array_empty-string", '[""]' }, { "array_empty", "[]" },
  { "array_ending_with_newline", '["a"]\n' }, { "array_false", "[false]" }, { "array_null", "[null]" },
  { "array_heterogeneous", '[null, 1, "1", {}]' }, { "array_with_1_and_newline", "[1\n]" },
  { "array_with_leading_space", " [1]" }, { "array_with_several_null", "[1,null,null,null,2]" },
  { "array_with_trailing_space", "[2] " },
  { "number", "[123e65]" }, { "number_0e+1", "[0e+1]" }, { "number_0e1", "[0e1]" }, { "number_after_space", "[ 4]" },
  { "number_double_close_to_zero", "[-0." .. ("0"):rep(77) .. "1]" }, { "number_int_with_exp", "[20e1]" },
  { "number_minus_zero", "[-0]" }, { "number_negative_int", "[-123]" }, { "number_negative_one", "[-1]" },
  { "number_negative_zero", "[-0]" }, { "number_real_capital_e", "[1E22]" },
  { "number_real_capital_e_neg_exp", "[1E-2]" }, { "number_real_capital_e_pos_exp", "[1E+2]" },
  { "number_real_exponent", "[123e45]" }, { "number_real_fraction_exponent", "[123.456e78]" },
  { "number_real_neg_exp", "[1e-2]" }, { "number_real_pos_exponent", "[1e+2]" }, { "number_simple_int", "[123]" },
  { "number_simple_real", "[123.456789]" },
  { "object", '{"a":"b", "c":"d"}' }, { "object_basic", '{"a":"b"}' }, { "object_empty", "{}" },
  { "object_duplicated_key", '{"a":"b","a":"c"}' }, { "object_duplicated_key_and_value", '{"a":"b","a":"b"}' },
  { "object_empty_key", '{"":0}' }, { "object_escaped_null_in_key", '{"a\\u0000b":1}' },
  { "object_extreme_numbers", '{"min":-1.0e+28,"max":1.0e+28}' },
  { "object_long_strings", '{"x":[{"id":"' .. ("x"):rep(40) .. '"}],"id":"' .. ("x"):rep(40) .. '"}' },
  { "object_simple", '{"a":[]}' }, { "object_with_newlines", '{\n"a":"b"\n}' },
  { "object_string_unicode", '{"t":"\\u041f\\u043e\\u043b\\u0442\\u043e\\u0440\\u0430"}' },
  { "string_1_2_3_bytes_UTF-8_sequences", '["\\u0060\\u012a\\u12AB"]' },
  { "string_accepted_surrogate_pair", '["\\uD801\\udc37"]' },
  { "string_accepted_surrogate_pairs", '["\\ud83d\\ude39\\ud83d\\udc8d"]' },
  { "string_allowed_escapes", [=[["\"\\\/\b\f\n\r\t"]]=] },
  { "string_backslash_and_u_escaped_zero", [=[["\\u0000"]]=] },
  { "string_backslash_doublequotes", [=[["\""]]=] }, { "string_comments", '["a/*b*/c/*d//e"]' },
  { "string_double_escape_a", [=[["\\a"]]=] }, { "string_double_escape_n", [=[["\\n"]]=] },
  { "string_escaped_control_character", '["\\u0012"]' }, { "string_escaped_noncharacter", '["\\uFFFF"]' },
  { "string_in_array", '["asd"]' }, { "string_in_array_with_leading_space", '[ "asd"]' },
  { "string_last_surrogates_1_and_2", '["\\uDBFF\\uDFFF"]' }, { "string_nbsp_uescaped", '["new\\u00A0line"]' },
  { "string_nonCharacterInUTF-8_U+10FFFF", '["\xf4\x8f\xbf\xbf"]' },
  { "string_nonCharacterInUTF-8_U+FFFF", '["\xef\xbf\xbf"]' }, { "string_null_escape", '["\\u0000"]' },
  { "string_one-byte-utf-8", '["\\u002c"]' }, { "string_pi", '["π"]' },
  { "string_reservedCharacterInUTF-8_U+1BFFF", '["\xf0\x9b\xbf\xbf"]' }, { "string_simple_ascii", '["asd "]' },
  { "string_space", '" "' }, { "string_surrogates_U+1D11E_MUSICAL_SYMBOL_G_CLEF", '["\\uD834\\uDd1e"]' },
  { "string_three-byte-utf-8", '["\\u0821"]' }, { "string_two-byte-utf-8", '["\\u0123"]' },
  { "string_u+2028_line_sep", '["\xe2\x80\xa8"]' }, { "string_u+2029_par_sep", '["\xe2\x80\xa9"]' },
  { "string_uEscape", '["\\u0061\\u30af\\u30EA\\u30b9"]' }, { "string_uescaped_newline", '["new\\u000Aline"]' },
  { "string_unescaped_char_delete", '["\x7f"]' }, { "string_unicode", '["\\uA66D"]' },
  { "string_unicodeEscapedBackslash", '["\\u005C"]' }, { "string_unicode_2", '["⍂㈴⍂"]' },
  { "string_unicode_U+10FFFE_nonchar", '["\\uDBFF\\uDFFE"]' },
  { "string_unicode_U+1FFFE_nonchar", '["\\uD83F\\uDFFE"]' },
  { "string_unicode_U+200B_ZERO_WIDTH_SPACE", '["\\u200B"]' },
  { "string_unicode_U+2064_invisible_plus", '["\\u2064"]' }, { "string_unicode_U+FDD0_nonchar", '["\\uFDD0"]' },
  { "string_unicode_U+FFFE_nonchar", '["\\uFFFE"]' }, { "string_unicode_escaped_double_quote", '["\\u0022"]' },
  { "string_utf8", '["€𝄞"]' }, { "string_with_del_character", '["a\x7fa"]' },
  { "structure_lonely_false", "false" }, { "structure_lonely_int", "42" }, { "structure_lonely_null", "null" },
  { "structure_lonely_negative_real", "-0.1" }, { "structure_lonely_string", '"asd"' },
  { "structure_lonely_true", "true" }, { "structure_string_empty", '""' }, { "structure_true_in_array", "[true]" },
  { "structure_trailing_newline", '["a"]\n' }, { "structure_whitespace_array", " [] " },
}

local no = {
  { "array_1_true_without_comma", "[1 true]" }, { "array_a_invalid_utf8", "[a\xe5]" },
  { "array_colon_instead_of_comma", '["": 1]' }, { "array_comma_after_close", '[""],' },
  { "array_comma_and_number", "[,1]" }, { "array_double_comma", "[1,,2]" },
  { "array_double_extra_comma", '["x",,]' }, { "array_extra_close", '["x"]]' }, { "array_extra_comma", '["",]' },
  { "array_incomplete", '["x"' }, { "array_incomplete_invalid_value", "[x" },
  { "array_inner_array_no_comma", "[3[4]]" }, { "array_invalid_utf8", "[\xff]" },
  { "array_items_separated_by_semicolon", "[1:2]" }, { "array_just_comma", "[,]" }, { "array_just_minus", "[-]" },
  { "array_missing_value", '[   , ""]' }, { "array_newlines_unclosed", '["a",\n4\n,1,' },
  { "array_number_and_comma", "[1,]" }, { "array_number_and_several_commas", "[1,,]" },
  { "array_spaces_vertical_tab_formfeed", '["\va"\\f]' }, { "array_star_inside", "[*]" },
  { "array_unclosed", '[""' }, { "array_unclosed_trailing_comma", "[1," },
  { "array_unclosed_with_new_lines", "[1,\n1\n,1" }, { "array_unclosed_with_object_inside", "[{}" },
  { "incomplete_false", "[fals]" }, { "incomplete_null", "[nul]" }, { "incomplete_true", "[tru]" },
  { "multidigit_number_then_00", "123\0" },
  { "number_++", "[++1234]" }, { "number_+1", "[+1]" }, { "number_+Inf", "[+Inf]" }, { "number_-01", "[-01]" },
  { "number_-1.0.", "[-1.0.]" }, { "number_-2.", "[-2.]" }, { "number_-NaN", "[-NaN]" }, { "number_.-1", "[.-1]" },
  { "number_.2e-3", "[.2e-3]" }, { "number_0.1.2", "[0.1.2]" }, { "number_0.3e+", "[0.3e+]" },
  { "number_0.3e", "[0.3e]" }, { "number_0.e1", "[0.e1]" }, { "number_0_capital_E+", "[0E+]" },
  { "number_0_capital_E", "[0E]" }, { "number_0e+", "[0e+]" }, { "number_0e", "[0e]" }, { "number_1.0e+", "[1.0e+]" },
  { "number_1.0e-", "[1.0e-]" }, { "number_1.0e", "[1.0e]" }, { "number_1_000", "[1 000.0]" },
  { "number_1eE2", "[1eE2]" }, { "number_2.e+3", "[2.e+3]" }, { "number_2.e-3", "[2.e-3]" },
  { "number_2.e3", "[2.e3]" }, { "number_9.e+", "[9.e+]" }, { "number_Inf", "[Inf]" }, { "number_NaN", "[NaN]" },
  { "number_U+FF11_fullwidth_digit_one", "[１]" }, { "number_expression", "[1+2]" }, { "number_hex_1_digit", "[0x1]" },
  { "number_hex_2_digits", "[0x42]" }, { "number_infinity", "[Infinity]" }, { "number_invalid+-", "[0e+-1]" },
  { "number_invalid-negative-real", "[-123.123foo]" }, { "number_invalid-utf-8-in-bigger-int", "[123\xe5]" },
  { "number_invalid-utf-8-in-exponent", "[1e1\xe5]" }, { "number_invalid-utf-8-in-int", "[0\xe5]\n" },
  { "number_minus_infinity", "[-Infinity]" }, { "number_minus_sign_with_trailing_garbage", "[-foo]" },
  { "number_minus_space_1", "[- 1]" }, { "number_neg_int_starting_with_zero", "[-012]" },
  { "number_neg_real_without_int_part", "[-.123]" }, { "number_neg_with_garbage_at_end", "[-1x]" },
  { "number_real_garbage_after_e", "[1ea]" }, { "number_real_with_invalid_utf8_after_e", "[1e\xe5]" },
  { "number_real_without_fractional_part", "[1.]" }, { "number_starting_with_dot", "[.123]" },
  { "number_with_alpha", "[1.2a-3]" }, { "number_with_alpha_char", "[1.8011670033376514H-308]" },
  { "number_with_leading_zero", "[012]" },
  { "object_bad_value", '["x", truth]' }, { "object_bracket_key", '{[: "x"}\n' },
  { "object_comma_instead_of_colon", '{"x", null}' }, { "object_double_colon", '{"x"::"b"}' },
  { "object_emoji", "{🇨🇭}" }, { "object_garbage_at_end", '{"a":"a" 123}' },
  { "object_key_with_single_quotes", "{key: 'value'}" },
  { "object_lone_continuation_byte_in_key_and_trailing_comma", '{"\xb9":"0",}' },
  { "object_missing_colon", '{"a" b}' }, { "object_missing_key", '{:"b"}' },
  { "object_missing_semicolon", '{"a" "b"}' },
  { "object_missing_value", '{"a":' }, { "object_no-colon", '{"a"' }, { "object_non_string_key", "{1:1}" },
  { "object_non_string_key_but_huge_number_instead", "{9999E9999:1}" },
  { "object_repeated_null_null", "{null:null,null:null}" }, { "object_several_trailing_commas", '{"id":0,,,,,}' },
  { "object_single_quote", "{'a':0}" }, { "object_trailing_comma", '{"id":0,}' },
  { "object_trailing_comment", '{"a":"b"}/**/' }, { "object_trailing_comment_open", '{"a":"b"}/**//' },
  { "object_trailing_comment_slash_open", '{"a":"b"}//' },
  { "object_trailing_comment_slash_open_incomplete", '{"a":"b"}/' },
  { "object_two_commas_in_a_row", '{"a":"b",,"c":"d"}' }, { "object_unquoted_key", '{a: "b"}' },
  { "object_unterminated-value", '{"a":"a' }, { "object_with_single_string", '{ "foo" : "bar", "a" }' },
  { "object_with_trailing_garbage", '{"a":"b"}#' },
  { "single_space", " " }, { "string_1_surrogate_then_escape", '["\\uD800\\"]' },
  { "string_1_surrogate_then_escape_u", '["\\uD800\\u"]' }, { "string_1_surrogate_then_escape_u1", '["\\uD800\\u1"]' },
  { "string_1_surrogate_then_escape_u1x", '["\\uD800\\u1x"]' }, { "string_accentuated_char_no_quotes", "[é]" },
  { "string_backslash_00", '["\\\0"]' }, { "string_escape_x", '["\\x00"]' },
  { "string_escaped_backslash_bad", [=[["\\\"]]=] }, { "string_escaped_ctrl_char_tab", '["\\\t"]' },
  { "string_escaped_emoji", '["\\🌀"]' }, { "string_incomplete_escape", '["\\"]' },
  { "string_incomplete_escaped_character", '["\\u00A"]' }, { "string_incomplete_surrogate", '["\\uD834\\uDd"]' },
  { "string_incomplete_surrogate_escape_invalid", '["\\uD800\\uD800\\x"]' },
  { "string_invalid-utf-8-in-escape", '["\\u\xe5"]' }, { "string_invalid_backslash_esc", '["\\a"]' },
  { "string_invalid_unicode_escape", '["\\uqqqq"]' }, { "string_invalid_utf8_after_escape", '["\\\xe5"]' },
  { "string_leading_uescaped_thinspace", '[\\u0020"asd"]' }, { "string_no_quotes_with_bad_escape", "[\\n]" },
  { "string_single_doublequote", '"' }, { "string_single_quote", "['single quote']" },
  { "string_single_string_no_double_quotes", "abc" }, { "string_start_escape_unclosed", '["\\' },
  { "string_unescaped_ctrl_char", '["a\0a"]' }, { "string_unescaped_newline", '["new\nline"]' },
  { "string_unescaped_tab", '["\t"]' }, { "string_unicode_CapitalU", '"\\UA66D"' },
  { "string_with_trailing_garbage", '""x' },
  { "structure_100000_opening_arrays", ("["):rep(100000) }, { "structure_U+2060_word_joined", "[\xe2\x81\xa0]" },
  { "structure_UTF8_BOM_no_data", "\xef\xbb\xbf" }, { "structure_angle_bracket_.", "<.>" },
  { "structure_angle_bracket_null", "[<null>]" }, { "structure_array_trailing_garbage", "[1]x" },
  { "structure_array_with_extra_array_close", "[1]]" }, { "structure_array_with_unclosed_string", '["asd]' },
  { "structure_ascii-unicode-identifier", "a\xc3\xa5" }, { "structure_capitalized_True", "[True]" },
  { "structure_close_unopened_array", "1]" },
  { "structure_comma_instead_of_closing_brace", '{"x": true,' },
  { "structure_double_array", "[][]" }, { "structure_end_array", "]" },
  { "structure_incomplete_UTF8_BOM", "\xef\xbb{}" },
  { "structure_lone-invalid-utf-8", "\xe5" }, { "structure_lone-open-bracket", "[" }, { "structure_no_data", "" },
  { "structure_null-byte-outside-string", "[\0]" }, { "structure_number_with_trailing_garbage", "2@" },
  { "structure_object_followed_by_closing_object", "{}}" }, { "structure_object_unclosed_no_value", '{"":' },
  { "structure_object_with_comment", '{"a":/*comment*/"b"}' },
  { "structure_object_with_trailing_garbage", '{"a": true} "x"' }, { "structure_open_array_apostrophe", "['" },
  { "structure_open_array_comma", "[," }, { "structure_open_array_object", ('[{"":'):rep(50000) .. "\n" },
  { "structure_open_array_open_object", "[{" }, { "structure_open_array_open_string", '["a' },
  { "structure_open_array_string", '["a"' }, { "structure_open_object", "{" },
  { "structure_open_object_close_array", "{]" }, { "structure_open_object_comma", "{," },
  { "structure_open_object_open_array", "{[" }, { "structure_open_object_open_string", '{"a' },
  { "structure_open_object_string_with_apostrophes", "{'a'" }, { "structure_open_open", [=[["\{["\{["\{["\{]=] },
  { "structure_single_eacute", "\xe9" }, { "structure_single_star", "*" }, { "structure_trailing_#", '{"a":"b"}#{}' },
  { "structure_uescaped_LF_before_string", '[\\u000A""]' }, { "structure_unclosed_array", "[1" },
  { "structure_unclosed_array_partial_null", "[ false, nul" },
  { "structure_unclosed_array_unfinished_false", "[ true, fals" },
  { "structure_unclosed_array_unfinished_true", "[ false, tru" }, { "structure_unclosed_object", '{"asd":"asd"' },
  { "structure_unicode-identifier", "å" }, { "structure_whitespace_U+2060_word_joiner", " \xe2\x81\xa0[]" },
  { "structure_whitespace_formfeed", "[\f]" },
}

-- What RFC 8259 leaves open: the value we read, or the reason why we don't.
local lone, utf8_bad = "lone surrogate", "invalid UTF-8"
local ours = {
  { "number_double_huge_neg_exp", "[123.456e-789]", value = 0.0 },
  { "number_real_underflow", "[123e-10000000]", value = 0.0 },
  { "number_huge_exp", "[0.4e" .. ("0"):rep(60) .. "669999999999999999999]", reason = "number out of range" },
  { "number_neg_int_huge_exp", "[-1e+9999]", reason = "number out of range" },
  { "number_pos_double_huge_exp", "[1.5e+9999]", reason = "number out of range" },
  { "number_real_neg_overflow", "[-123123e100000]", reason = "number out of range" },
  { "number_real_pos_overflow", "[123123e100000]", reason = "number out of range" },
  { "number_too_big_neg_int", "[-" .. ("123"):rep(10) .. "]", value = -123123123123123123123123123123.0 },
  { "number_too_big_pos_int", "[100000000000000000000]", value = 1e20 },
  { "number_very_big_negative_int", "[-237462374673276894279832749832423479823246327846]",
    value = -237462374673276894279832749832423479823246327846.0 },
  { "object_key_lone_2nd_surrogate", '{"\\uDFAA":0}', reason = lone },
  { "string_1st_surrogate_but_2nd_missing", '["\\uDADA"]', reason = lone },
  { "string_1st_valid_surrogate_2nd_invalid", '["\\uD888\\u1234"]', reason = lone },
  { "string_UTF-16LE_with_BOM", "\xff\xfe[\0]\0", reason = "unexpected character" },
  { "string_UTF-8_invalid_sequence", '["日ш\xfa"]', reason = utf8_bad },
  { "string_UTF8_surrogate_U+D800", '["\xed\xa0\x80"]', reason = utf8_bad },
  { "string_incomplete_surrogate_and_escape_valid", '["\\uD800\\n"]', reason = lone },
  { "string_incomplete_surrogate_pair", '["\\uDd1ea"]', reason = lone },
  { "string_incomplete_surrogates_escape_valid", '["\\uD800\\uD800\\n"]', reason = lone },
  { "string_invalid_lonely_surrogate", '["\\ud800"]', reason = lone },
  { "string_invalid_surrogate", '["\\ud800abc"]', reason = lone },
  { "string_invalid_utf-8", '["\xff"]', reason = utf8_bad },
  { "string_inverted_surrogates_U+1D11E", '["\\uDd1e\\uD834"]', reason = lone },
  { "string_iso_latin_1", '["\xe9"]', reason = utf8_bad },
  { "string_lone_second_surrogate", '["\\uDFAA"]', reason = lone },
  { "string_lone_utf8_continuation_byte", '["\x81"]', reason = utf8_bad },
  { "string_not_in_unicode_range", '["\xf4\xbf\xbf\xbf"]', reason = utf8_bad },
  { "string_overlong_sequence_2_bytes", '["\xc0\xaf"]', reason = utf8_bad },
  { "string_overlong_sequence_6_bytes", '["\xfc\x83\xbf\xbf\xbf\xbf"]', reason = utf8_bad },
  { "string_overlong_sequence_6_bytes_null", '["\xfc\x80\x80\x80\x80\x80"]', reason = utf8_bad },
  { "string_truncated-utf-8", '["\xe0\xff"]', reason = utf8_bad },
  { "string_utf16BE_no_BOM", '\0[\0"\0\xe9\0"\0]', reason = "unexpected character" },
  { "string_utf16LE_no_BOM", '[\0"\0\xe9\0"\0]\0', reason = "unexpected character" },
  { "structure_500_nested_arrays", ("["):rep(500) .. ("]"):rep(500), reason = "nested too deeply (LIMIT_JSON_DEPTH)" },
  { "structure_UTF-8_BOM_empty_object", "\xef\xbb\xbf{}", reason = "unexpected character" },
}

--- A folder with a locale "comma" whose decimal point is one, in glibc's format: few machines have such a locale.
local function comma_locale()
  local folder = env.tmpdir()
  assert(os.execute("mkdir -p " .. env.quote(folder .. "/comma")))
  -- magic of LC_NUMERIC, six fields and where they are: point, separator, grouping, both as characters, charset
  local head = string.pack("<I4I4I4I4I4I4I4I4", 0x20031114, 6, 32, 34, 35, 36, 40, 44)
  env.write_file(folder .. "/comma/LC_NUMERIC", head .. string.pack("<zzzI4I4z", ",", "", "", 0x2c, 0, "UTF-8"))
  return folder
end

local function bytes(...) return '["' .. string.char(...) .. '"]' end

describe("json: the shapes of JSONTestSuite", function()
  for _, case in ipairs(yes) do
    it("accepts y_" .. case[1], function()
      local value, reason = json.decode(case[2])
      assert.is_nil(reason)
      assert.not_nil(value)
    end)
  end
  for _, case in ipairs(no) do
    it("refuses n_" .. case[1], function()
      local value, reason, offset = json.decode(case[2])
      assert.is_nil(value)
      assert.is_string(reason)
      assert.is_true(offset >= 0 and offset <= #case[2])
    end)
  end
  for _, case in ipairs(ours) do
    it((case.reason and "refuses" or "accepts") .. " i_" .. case[1], function()
      local value, reason = json.decode(case[2])
      assert.equal(case.reason, reason)
      assert.equal(case.value, value and value[1])
    end)
  end
  it("has all of them, once", function()
    local seen, count = {}, 0
    for prefix, cases in pairs { y_ = yes, n_ = no, i_ = ours } do
      for _, case in ipairs(cases) do
        assert.is_nil(seen[prefix .. case[1]])
        seen[prefix .. case[1]] = true
        count = count + 1
      end
    end
    assert.equal(95 + 188 + 35, count)
  end)
end)

describe("json: places and reasons", function()
  for _, case in ipairs {
    { "", 0, "unexpected end" }, { "  ", 2, "unexpected end" }, { "[1,2", 4, "unexpected end" },
    { '{"a', 3, "unexpected end" }, { '{"a":', 5, "unexpected end" }, { "tru", 3, "unexpected end" },
    { "-", 1, "unexpected end" }, { "1.", 2, "unexpected end" }, { "[1e+", 4, "unexpected end" },
    { "trux", 3, "unexpected character" }, { "[1,]", 3, "unexpected character" },
    { "{,}", 1, "unexpected character" },
    { "[01]", 2, "unexpected character" }, { "[-x]", 2, "invalid number" }, { "[1.x]", 3, "invalid number" },
    { '["a\nb"]', 3, "control character in a string" }, { '["ab\\q"]', 4, "invalid escape" },
    { '["12345678\x1f"]', 10, "control character in a string" }, { '["1234567\x801"]', 9, "invalid UTF-8" },
    { '["é\xc3"]', 4, "invalid UTF-8" }, { '["x\\udc00"]', 3, "lone surrogate" },
    { "[] []", 3, "bytes behind the value" }, { "1 \0", 2, "bytes behind the value" },
    { "[1e400]", 1, "number out of range" }, { "[" .. ("1"):rep(129) .. "]", 1, "number too long (LIMIT_JSON_NUMBER)" },
  } do
    it(("says %q at %d"):format(case[3], case[2]), function()
      assert.same({ nil, case[3], case[2], n = 3 }, table.pack(json.decode(case[1])))
    end)
  end

  it("refuses each prefix of a document, and each with a byte more", function()
    local text = '{"Id":"\\u00e9\\ud834\\udd1e€","n":[-1.5e+3,0,true,false,null,{}],"long":"xxxxxxxxxxxxxxxx"}'
    assert.is_table(json.decode(text))
    for i = 0, #text - 1 do
      local value, reason = json.decode(text:sub(1, i))
      assert.is_nil(value)
      assert.is_string(reason)
    end
    assert.is_nil((json.decode(text .. "]")))
  end)

  it("takes 64 levels and no more", function()
    assert.is_table(json.decode(("["):rep(64) .. ("]"):rep(64)))
    local value, reason, offset = json.decode(("["):rep(65) .. ("]"):rep(65))
    assert.same({ nil, "nested too deeply (LIMIT_JSON_DEPTH)", 64, n = 3 }, table.pack(value, reason, offset))
    assert.is_table(json.decode(('{"a":'):rep(63) .. "[]" .. ("}"):rep(63)))
    assert.is_nil((json.decode(('{"a":'):rep(64) .. "[]" .. ("}"):rep(64))))
  end)
end)

describe("json: strings", function()
  it("finds the end of a string at any distance, and what is wrong in it", function()
    for before = 0, 40 do
      local text = ("x"):rep(before)
      assert.same({ text, "é" }, json.decode('["' .. text .. '","é"]'))
      assert.equal(text .. '"' .. text, json.decode('"' .. text .. '\\"' .. text .. '"'))
      assert.equal(text .. "é" .. text, json.decode('"' .. text .. "é" .. text .. '"'))
      for c = 0, 0x1f do assert.is_nil((json.decode('"' .. text .. string.char(c) .. text .. '"'))) end
    end
  end)

  it("takes each printable byte for itself", function()
    for c = 0x20, 0x7f do
      if c ~= 0x22 and c ~= 0x5c then
        local text = string.char(c):rep(9)
        assert.equal(text, json.decode('"' .. text .. '"'))
      end
    end
  end)

  it("decodes escapes", function()
    assert.equal('"\\/\b\f\n\r\t', json.decode [["\"\\\/\b\f\n\r\t"]])
    assert.equal("a\0b", json.decode '"a\\u0000b"')
    assert.equal("\x7f\u{80}\u{7ff}\u{800}\u{ffff}", json.decode '"\\u007f\\u0080\\u07ff\\u0800\\uffff"')
    assert.equal("\u{10000}\u{10ffff}\u{1d11e}", json.decode '"\\ud800\\udc00\\uDBFF\\uDFFF\\uD834\\udd1e"')
    assert.same({ ["a\0b"] = 1 }, json.decode '{"a\\u0000b":1}')
  end)

  it("knows well-formed UTF-8 from the rest", function()
    for _, code in ipairs { 0x80, 0x7ff, 0x800, 0xd7ff, 0xe000, 0xffff, 0x10000, 0x10ffff } do
      assert.same({ utf8.char(code) }, json.decode(bytes(utf8.char(code):byte(1, -1))))
    end
    for _, bad in ipairs {
      { 0x80 }, { 0xbf }, { 0xc0, 0x80 }, { 0xc1, 0xbf }, { 0xc2 }, { 0xc2, 0x7f }, { 0xc2, 0xc0 },
      { 0xe0, 0x9f, 0xbf }, { 0xe0, 0xa0 }, { 0xed, 0xa0, 0x80 }, { 0xed, 0xbf, 0xbf }, { 0xe1, 0x80, 0x7f },
      { 0xf0, 0x8f, 0xbf, 0xbf }, { 0xf4, 0x90, 0x80, 0x80 }, { 0xf5, 0x80, 0x80, 0x80 },
      { 0xf1, 0x80, 0x80 }, { 0xf1, 0x80, 0x80, 0xc0 }, { 0xff },
    } do
      assert.equal("invalid UTF-8", (select(2, json.decode(bytes(table.unpack(bad))))))
    end
  end)

  it("gives a string to C as well: plain or decoded", function()
    local text = [[{"plain":"abc","odd":"a\u00e9\n","\u0061lias":"x","none":null,"empty":"","list":[]}]]
    assert.same({ "abc", true, n = 2 }, table.pack(json.string(text, "plain")))
    assert.same({ "aé\n", true, n = 2 }, table.pack(json.string(text, "odd")))
    assert.same({ "x", true, n = 2 }, table.pack(json.string(text, "alias")))
    assert.same({ "", true, n = 2 }, table.pack(json.string(text, "empty")))
    assert.same({ n = 0 }, table.pack(json.string(text, "list")))
    assert.same({ n = 0 }, table.pack(json.string(text, "missing")))
  end)
end)

describe("json: numbers", function()
  for _, case in ipairs {
    { "0", 0 }, { "-0", 0 }, { "7", 7 }, { "-1", -1 }, { "9007199254740993", 9007199254740993 },
    { "9223372036854775807", math.maxinteger }, { "-9223372036854775808", math.mininteger },
    { "1000000000000000000", 1000000000000000000 }, { "-9223372036854775807", -math.maxinteger },
  } do
    it("reads " .. case[1] .. " as an integer", function()
      local value = json.decode(case[1])
      assert.equal("integer", math.type(value))
      assert.equal(case[2], value)
    end)
  end

  local floats = {
    { "9223372036854775808", 2.0 ^ 63 }, { "-9223372036854775809", -2.0 ^ 63 }, { "1.0", 1.0 }, { "1e3", 1000.0 },
    { "0.1", 0.1 }, { "-2.5e-3", -0.0025 }, { "1E+2", 100.0 }, { "5e-324", 5e-324 }, { "4.9e-324", 5e-324 },
    { "2.2250738585072011e-308", 2.2250738585072011e-308 }, { "1.7976931348623157e308", 1.7976931348623157e308 },
    { "123456789012345678901234567890", 123456789012345678901234567890.0 },
    { "9007199254740993.0", 9007199254740992.0 },
    { ("1"):rep(128), tonumber(("1"):rep(128)) }, { "0.00000000000000000000001e22", 0.1 },
  }
  for _, case in ipairs(floats) do
    it("reads " .. case[1] .. " as a float", function()
      local value = json.decode(case[1])
      assert.equal("float", math.type(value))
      assert.equal(case[2], value)
    end)
  end

  it("keeps the sign of -0.0", function() assert.equal(-math.huge, 1 / json.decode "-0.0") end)

  it("refuses what no double can hold", function()
    for _, text in ipairs { "1e309", "-1.8e308", "1e999999999999999999", "17976931348623159e292" } do
      assert.equal("number out of range", (select(2, json.decode(text))))
    end
    assert.equal(0.0, json.decode "0e999999999999999999")
  end)

  it("writes the shortest text that reads back the same", function()
    for _, case in ipairs {
      { 0.1, "0.1" }, { 5e-324, "5e-324" }, { 1 / 3, "0.3333333333333333" }, { 1e300, "1e+300" }, { -2.5, "-2.5" },
      { 0.1 + 0.2, "0.30000000000000004" }, { 123456.789, "123456.789" }, { 2.0 ^ 63, "9.223372036854776e+18" },
      { 3.0, "3" }, { -1e15, "-1000000000000000" }, { -0.0, "-0.0" }, { math.mininteger, "-9223372036854775808" },
    } do
      assert.equal(case[2], json.put(case[1]))
      assert.equal(case[1], json.number(case[2]))
    end
  end)

  it("round-trips doubles of every size", function()
    local x = 0x9E3779B97F4A7C15
    for _ = 1, 2000 do
      x = x ~ (x << 13); x = x ~ (x >> 7); x = x ~ (x << 17)
      local value = string.unpack("d", string.pack("j", x))
      if value == value and value ~= math.huge and value ~= -math.huge then
        assert.equal(value, json.number(json.put(value)))
      end
    end
  end)

  it("does so where the decimal point is a comma", function()
    assert.is_true(json.setlocale("comma", comma_locale()), "the C library refuses the locale made for this test")
    finally(function() json.setlocale "C" end)
    assert.equal("0,5", ("%.1f"):format(0.5)) -- it is in force
    assert.equal("0.5", json.put(0.5))
    assert.equal("1.2345678901234567e-30", json.put(1.2345678901234567e-30))
    for _, case in ipairs(floats) do assert.equal(case[2], json.decode(case[1])) end
  end)
end)

describe("json: members", function()
  it("takes the last of a name, in tables and in C", function()
    local text = '{"a":1,"b":2,"a":3,"c":4,"c":null,"\\u0062":5}'
    assert.same({ a = 3, b = 5 }, json.decode(text))
    assert.equal(3, json.get(text, "a"))
    assert.equal(5, json.get(text, "b"))
    assert.equal(json.null, json.get(text, "c"))
    assert.is_nil(json.get(text, "d"))
    assert.is_nil(json.get("[1]", "a"))
  end)
end)
