#include "index.hpp"

#include "tokenizer.h"

#include <algorithm>
#include <cmath>
#include <unordered_set>

namespace textindex {

namespace {

// BM25's usual constants: how soon repetitions stop counting, and how much long documents are held back.
constexpr double k1 = 1.2, b = 0.75;

template <typename Visit> void each_word(std::string_view text, Visit visit)
{
    tokenizer state{text.data(), text.size(), 0};
    std::string word;
    for (std::size_t start, end; tokenizer_next(&state, &start, &end);) {
        word.assign(text.substr(start, end - start));
        std::transform(word.begin(), word.end(), word.begin(), tokenizer_fold);
        visit(word);
    }
}

struct Term {
    std::vector<std::string> words; // more than one: a phrase
    bool excluded;
};

// A query is words, "phrases", and either with a leading minus sign.
std::vector<Term> parse(std::string_view query)
{
    std::vector<Term> terms;
    for (std::size_t at = 0; at < query.size();) {
        if (query[at] == ' ') {
            at++;
            continue;
        }
        Term term{{}, query[at] == '-'};
        const std::size_t start = at += term.excluded;
        const bool quoted = at < query.size() && query[at] == '"';
        const std::size_t end = quoted ? query.find('"', at + 1) : std::min(query.find(' ', at), query.size());
        if (end == query.npos)
            throw QueryError(start, "the quotation mark is never closed");
        each_word(query.substr(start, end - start), [&](const std::string &word) { term.words.push_back(word); });
        if (term.words.empty())
            throw QueryError(start, "there is no word here");
        terms.push_back(std::move(term));
        at = end + quoted;
    }
    const auto wanted = [](const Term &term) { return !term.excluded; };
    if (std::none_of(terms.begin(), terms.end(), wanted))
        throw QueryError(0, "nothing to look for");
    return terms;
}

} // namespace

QueryError::~QueryError() = default; // the key function: type information is emitted here, once

std::uint32_t Index::add(std::string_view text)
{
    const auto document = static_cast<std::uint32_t>(lengths_.size());
    std::uint32_t position = 0;
    each_word(text, [&](const std::string &word) {
        Postings &postings = postings_[word];
        if (postings.empty() || postings.back().document != document)
            postings.push_back({document, {}});
        postings.back().positions.push_back(position++);
    });
    lengths_.push_back(position);
    total_length_ += position;
    return document;
}

std::vector<Hit> Index::search(std::string_view query, std::size_t limit) const
{
    std::unordered_map<std::uint32_t, double> scores;
    std::unordered_set<std::uint32_t> excluded;
    for (const Term &term : parse(query)) {
        const Postings postings = phrase(term.words);
        if (!term.excluded)
            score(postings, scores);
        else
            for (const Posting &posting : postings)
                excluded.insert(posting.document);
    }
    std::vector<Hit> hits;
    for (const auto &[document, score] : scores)
        if (excluded.count(document) == 0)
            hits.push_back({document, score});
    std::sort(hits.begin(), hits.end(), [](const Hit &left, const Hit &right) {
        return left.score != right.score ? left.score > right.score : left.document < right.document;
    });
    hits.resize(std::min(hits.size(), limit));
    return hits;
}

const Index::Postings *Index::find(const std::string &word) const
{
    const auto found = postings_.find(word);
    return found == postings_.end() ? nullptr : &found->second;
}

// Where the words follow one another: positions are those of the first word.
Index::Postings Index::phrase(const std::vector<std::string> &words) const
{
    const Postings *first = find(words.front());
    if (!first)
        return {};
    Postings result = *first;
    for (std::size_t offset = 1; offset < words.size(); offset++) {
        const Postings *next = find(words[offset]);
        if (!next)
            return {};
        Postings kept;
        auto other = next->begin();
        for (Posting &posting : result) {
            while (other != next->end() && other->document < posting.document)
                ++other;
            if (other == next->end())
                break;
            if (other->document != posting.document)
                continue;
            auto &positions = posting.positions;
            positions.erase(std::remove_if(positions.begin(), positions.end(),
                                           [&](std::uint32_t position) {
                                               return !std::binary_search(other->positions.begin(),
                                                                          other->positions.end(), position + offset);
                                           }),
                            positions.end());
            if (!positions.empty())
                kept.push_back(std::move(posting));
        }
        result = std::move(kept);
    }
    return result;
}

void Index::score(const Postings &postings, std::unordered_map<std::uint32_t, double> &scores) const
{
    const double all = static_cast<double>(lengths_.size()), with = static_cast<double>(postings.size());
    const double rarity = std::log(1 + (all - with + 0.5) / (with + 0.5));
    const double mean = static_cast<double>(total_length_) / all;
    for (const Posting &posting : postings) {
        const double times = static_cast<double>(posting.positions.size());
        const double length = lengths_[posting.document] / mean;
        scores[posting.document] += rarity * times * (k1 + 1) / (times + k1 * (1 - b + b * length));
    }
}

} // namespace textindex
